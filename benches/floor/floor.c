/* floor: the least that an epoll echo server can do.
 *
 * One thread, one epoll, level-triggered, one 64 KiB buffer. A readable connection costs one recv and
 * one send, and nothing else: no clock, no table, no counters, no timers. What evenkeel costs beyond
 * this is what its features cost, which is why the benchmark divides by it.
 *
 * It is a yardstick and not a server: what a full socket buffer would not take is dropped along with
 * the connection, because keeping it would cost the bookkeeping that this program is there to omit.
 * The benchmark's 64-byte messages never fill a buffer.
 *
 * Usage: floor PORT        PORT 0 means any; the ready line on stderr names the real one. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER_BYTES = 64 * 1024, EVENTS_MAX = 256, BACKLOG = 4096 };

static char buffer[BUFFER_BYTES];

static void die(const char *what)
{
    perror(what);
    exit(1);
}

/* TCP_NODELAY is set before listen, so that connections inherit it and accept need not set it. */
static int listen_on(int port)
{
    const int on = 1;
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (listener < 0)
        die("floor: socket");
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0)
        die("floor: bind");
    if (listen(listener, BACKLOG) < 0)
        die("floor: listen");
    return listener;
}

static void announce(int listener)
{
    struct sockaddr_in address;
    socklen_t length = sizeof address;

    if (getsockname(listener, (struct sockaddr *)&address, &length) < 0)
        die("floor: getsockname");
    fprintf(stderr, "ready: floor on 127.0.0.1:%d\n", ntohs(address.sin_port));
}

static void watch(int epoll, int fd)
{
    struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
        die("floor: epoll_ctl");
}

static void accept_all(int epoll, int listener)
{
    int fd;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
        watch(epoll, fd);
    if (errno != EAGAIN && errno != ECONNABORTED)
        die("floor: accept4");
}

static void echo(int fd)
{
    ssize_t length = recv(fd, buffer, sizeof buffer, 0);

    if (length <= 0 || send(fd, buffer, length, MSG_NOSIGNAL) != length)
        close(fd);
}

int main(int argc, char **argv)
{
    struct epoll_event events[EVENTS_MAX];
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    int listener;

    if (argc != 2) {
        fprintf(stderr, "usage: floor PORT\n");
        return 2;
    }
    if (epoll < 0)
        die("floor: epoll_create1");
    listener = listen_on(atoi(argv[1]));
    watch(epoll, listener);
    announce(listener);
    for (;;) {
        int count = epoll_wait(epoll, events, EVENTS_MAX, -1);

        if (count < 0 && errno != EINTR)
            die("floor: epoll_wait");
        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == listener)
                accept_all(epoll, listener);
            else
                echo(events[i].data.fd);
        }
    }
}

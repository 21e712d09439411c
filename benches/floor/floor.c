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
#include "floor.h"

static void accept_all(int epoll, int listener)
{
    int fd;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
        watch(epoll, fd, EPOLLIN, (epoll_data_t){ .fd = fd });
    if (errno != EAGAIN && errno != ECONNABORTED)
        err(1, "accept4");
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
        err(1, "epoll_create1");
    listener = listen_on(argv[1]);
    watch(epoll, listener, EPOLLIN, (epoll_data_t){ .fd = listener });
    for (;;) {
        int count = epoll_wait(epoll, events, EVENTS_MAX, -1);

        if (count < 0 && errno != EINTR)
            err(1, "epoll_wait");
        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == listener)
                accept_all(epoll, listener);
            else
                echo(events[i].data.fd);
        }
    }
}

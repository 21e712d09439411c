/* What the floors have in common: a listener, a buffer, an accept loop's limits. None of it is per message. */
#include <arpa/inet.h>
#include <err.h>
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

static struct sockaddr_in loopback(const char *port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(atoi(port)) };

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static int stream_socket(void)
{
    const int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        err(1, "socket");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

/* Listens and says where on stderr. Connections inherit TCP_NODELAY, so accept need not set it. */
static int listen_on(const char *port)
{
    const int on = 1;
    struct sockaddr_in address = loopback(port);
    socklen_t length = sizeof address;
    int listener = stream_socket();

    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, length) < 0)
        err(1, "bind");
    if (listen(listener, BACKLOG) < 0)
        err(1, "listen");
    if (getsockname(listener, (struct sockaddr *)&address, &length) < 0)
        err(1, "getsockname");
    fprintf(stderr, "ready: floor on 127.0.0.1:%d\n", ntohs(address.sin_port));
    return listener;
}

static void watch(int epoll, int fd, uint32_t events, epoll_data_t data)
{
    struct epoll_event event = { .events = events, .data = data };

    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
        err(1, "epoll_ctl");
}

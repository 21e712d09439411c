/* proxy_floor: the least that a copying layer-4 proxy can do with epoll.
 *
 * One thread, one epoll, edge-triggered, one 64 KiB buffer. What is readable on one side costs one recv and
 * one send to the other: no clock, no timers, no balancing, no counters, no log. Edge-triggered, because a
 * socket is then registered once and never again. With level, back pressure and the wait for the upstream
 * would each take an epoll_ctl more, and a message the same calls.
 *
 * It is exact where the benchmark looks: a FIN passes on in each direction by itself, after the bytes before
 * it; what a peer would not take is kept, and the other side isn't read until it has. It isn't where that
 * takes bookkeeping: a reset ends both sides somehow, and nothing ever times out.
 *
 * Usage: proxy_floor PORT UPSTREAM_PORT      PORT 0 means any; the ready line on stderr names the real one. */
#define _GNU_SOURCE
#include <stdbool.h>
#include <string.h>
#include "floor.h"

enum { SIDE_EVENTS = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, BAD_EVENTS = EPOLLERR | EPOLLHUP };

struct side {
    int fd;
    bool hung_up;  /* RDHUP or worse was seen: a short read isn't the end, read on to the FIN. */
    bool finished; /* Its FIN was read and passed on. */
    char *kept;    /* What its socket would not take yet: NULL, or what is left of the bytes read. */
    size_t kept_from, kept_to;
    struct side *other;
    struct session *session;
};

struct session {
    struct side client, upstream;
    bool connected, closed;
    struct session *next_closed;
};

static int epoll;
static struct sockaddr_in upstream_address;
/* Events of a closed session may wait in the same batch, so sessions are freed after it. */
static struct session *closed_sessions;

static void end(struct session *session)
{
    close(session->client.fd);
    close(session->upstream.fd);
    free(session->client.kept);
    free(session->upstream.kept);
    session->closed = true;
    session->next_closed = closed_sessions;
    closed_sessions = session;
}

static void free_closed(void)
{
    while (closed_sessions) {
        struct session *session = closed_sessions;

        closed_sessions = session->next_closed;
        free(session);
    }
}

/* The client joins the epoll when the upstream is there: adding polls afresh, so nothing is missed. */
static void begin(int client)
{
    struct session *session = calloc(1, sizeof *session);
    int upstream = stream_socket();

    if (!session)
        err(1, "calloc");
    session->client = (struct side){ .fd = client, .other = &session->upstream, .session = session };
    session->upstream = (struct side){ .fd = upstream, .other = &session->client, .session = session };
    if (connect(upstream, (struct sockaddr *)&upstream_address, sizeof upstream_address) < 0 &&
        errno != EINPROGRESS)
        end(session);
    else
        watch(epoll, upstream, SIDE_EVENTS, (epoll_data_t){ .ptr = &session->upstream });
}

static void accept_all(int listener)
{
    int fd;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
        begin(fd);
    if (errno != EAGAIN && errno != ECONNABORTED)
        err(1, "accept4");
}

static void keep(struct side *to, const char *bytes, size_t length)
{
    to->kept = malloc(length);
    if (!to->kept)
        err(1, "malloc");
    memcpy(to->kept, bytes, length);
    to->kept_from = 0;
    to->kept_to = length;
}

/* Passes bytes on until there are none, or the other side takes no more, or the session has ended. */
static void forward(struct side *from)
{
    struct side *to = from->other;

    while (!to->kept && !from->finished) {
        ssize_t length = recv(from->fd, buffer, sizeof buffer, 0);
        ssize_t sent;

        if (length < 0 && errno == EAGAIN)
            return;
        if (length < 0 || (length == 0 && to->finished))
            return end(from->session);
        if (length == 0) {
            from->finished = true;
            shutdown(to->fd, SHUT_WR);
            return;
        }
        sent = send(to->fd, buffer, length, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN)
            return end(from->session);
        if (sent < length)
            keep(to, buffer + (sent > 0 ? sent : 0), length - (sent > 0 ? sent : 0));
        else if (length < BUFFER_BYTES && !from->hung_up)
            return;
    }
}

/* Sends what was kept, and goes on with the other side when all is gone. */
static void flush(struct side *to)
{
    ssize_t sent = send(to->fd, to->kept + to->kept_from, to->kept_to - to->kept_from, MSG_NOSIGNAL);

    if (sent < 0 && errno != EAGAIN)
        return end(to->session);
    if (sent > 0 && (to->kept_from += sent) == to->kept_to) {
        free(to->kept);
        to->kept = NULL;
        forward(to->other);
    }
}

static void ready(struct side *side, uint32_t events)
{
    struct session *session = side->session;

    if (session->closed)
        return;
    if (!session->connected) {
        if (events & BAD_EVENTS)
            return end(session);
        session->connected = true;
        watch(epoll, session->client.fd, SIDE_EVENTS, (epoll_data_t){ .ptr = &session->client });
    }
    side->hung_up |= (events & (EPOLLRDHUP | BAD_EVENTS)) != 0;
    if (side->kept)
        flush(side);
    if (!session->closed && (events & (EPOLLIN | EPOLLRDHUP | BAD_EVENTS)))
        forward(side);
}

int main(int argc, char **argv)
{
    struct epoll_event events[EVENTS_MAX];
    int listener;

    if (argc != 3) {
        fprintf(stderr, "usage: proxy_floor PORT UPSTREAM_PORT\n");
        return 2;
    }
    if ((epoll = epoll_create1(EPOLL_CLOEXEC)) < 0)
        err(1, "epoll_create1");
    upstream_address = loopback(argv[2]);
    listener = listen_on(argv[1]);
    watch(epoll, listener, EPOLLIN, (epoll_data_t){ .ptr = NULL });
    for (;;) {
        int count = epoll_wait(epoll, events, EVENTS_MAX, -1);

        if (count < 0 && errno != EINTR)
            err(1, "epoll_wait");
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr)
                ready(events[i].data.ptr, events[i].events);
            else
                accept_all(listener);
        }
        free_closed();
    }
}

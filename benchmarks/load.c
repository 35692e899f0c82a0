/* A closed-loop client of the greeting: one thread, epoll, every byte of every reply compared.
 *
 *   load PORT line|raw messages|connections CONNECTIONS PIPELINED MILLISECONDS
 *
 * messages: CONNECTIONS conversations are held; on each, PIPELINED messages are sent at once, and the next ones when
 * all are answered. connections: on each of CONNECTIONS places one conversation after another: banner, one message,
 * its answer, end by us. At the end all conversations are ended, and the server's own end is waited for.
 * Prints `OPERATIONS NANOSECONDS`; exits 1, saying why, at the first wrong byte.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 1024, PIPELINED_MAX = 64, BYTES_MAX = 64 * PIPELINED_MAX, SILENCE_MS_MAX = 10000 };

struct conversation {
    int fd;
    int greeted;                  /* the banner has come */
    size_t expected_size, arrived;
    char expected[BYTES_MAX];
};

static struct conversation conversations[CONNECTIONS_MAX];
static struct sockaddr_in server = {.sin_family = AF_INET};
static int poller, line_framing, reconnecting, pipelined;
static unsigned long operations, numbered;

static void die(const char *what) {
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

static long long now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void expect(struct conversation *c, const char *text) {
    c->arrived = 0;
    c->expected_size = strlen(text);
    memcpy(c->expected, text, c->expected_size);
}

static void begin(struct conversation *c) {
    int one = 1;
    struct epoll_event interest = {.events = EPOLLIN, .data.ptr = c};
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0 || connect(c->fd, (void *)&server, sizeof server))
        die("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &interest))
        die("epoll_ctl");
    c->greeted = 0;
    expect(c, line_framing ? "Welcome!\n" : "Welcome!");
}

/* No two messages are alike, so that an answer to another one is found out. */
static void speak(struct conversation *c) {
    char messages[BYTES_MAX], *out = messages, *answer = c->expected;
    for (int i = 0; i < pipelined; i++) {
        numbered++;
        out += sprintf(out, line_framing ? "guest-%010lu\n" : "guest-%010lu", numbered);
        answer += sprintf(answer, line_framing ? "Hello,guest-%010lu\n" : "Hello,guest-%010lu", numbered);
    }
    c->arrived = 0;
    c->expected_size = answer - c->expected;
    if (send(c->fd, messages, out - messages, MSG_NOSIGNAL) != out - messages)
        die("send");
}

static void hear(struct conversation *c) {
    char data[BYTES_MAX];
    ssize_t size = recv(c->fd, data, sizeof data, 0);
    if (size <= 0)
        die(size ? "recv" : "the server ended a conversation");
    if (c->arrived + size > c->expected_size || memcmp(c->expected + c->arrived, data, size)) {
        fprintf(stderr, "a wrong answer: %.*s, not %.*s\n", (int)size, data, (int)c->expected_size, c->expected);
        exit(1);
    }
    c->arrived += size;
    if (c->arrived < c->expected_size)
        return;
    if (!c->greeted) {
        c->greeted = 1;
        speak(c);
        return;
    }
    operations += reconnecting ? 1 : pipelined;
    if (reconnecting) {
        close(c->fd);
        begin(c);
    } else {
        speak(c);
    }
}

/* End every conversation, and wait until the server has ended it too: then its work is done. */
static void end_all(int count) {
    char data[BYTES_MAX];
    for (int i = 0; i < count; i++)
        shutdown(conversations[i].fd, SHUT_WR);
    for (int i = 0; i < count; i++) {
        while (recv(conversations[i].fd, data, sizeof data, 0) > 0)
            ;
        close(conversations[i].fd);
    }
}

int main(int argc, char **argv) {
    if (argc != 7)
        return fputs("load PORT line|raw messages|connections CONNECTIONS PIPELINED MILLISECONDS\n", stderr), 2;
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    server.sin_port = htons(atoi(argv[1]));
    line_framing = !strcmp(argv[2], "line");
    reconnecting = !strcmp(argv[3], "connections");
    int count = atoi(argv[4]);
    pipelined = atoi(argv[5]);
    if (count < 1 || count > CONNECTIONS_MAX || pipelined < 1 || pipelined > PIPELINED_MAX)
        return fputs("load: out of range\n", stderr), 2;
    poller = epoll_create1(0);
    for (int i = 0; i < count; i++)
        begin(&conversations[i]);
    long long begun = now_ns(), end = begun + atoll(argv[6]) * 1000000LL, ended;
    struct epoll_event ready[CONNECTIONS_MAX];
    while ((ended = now_ns()) < end) {
        int found = epoll_wait(poller, ready, CONNECTIONS_MAX, SILENCE_MS_MAX);
        if (found <= 0)
            die("no answer");
        for (int i = 0; i < found; i++)
            hear(ready[i].data.ptr);
    }
    printf("%lu %lld\n", operations, ended - begun);
    end_all(count);
    return 0;
}

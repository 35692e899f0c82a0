/* The limit: the greeting by a plain C pre-fork server. N workers blocked in accept() on a shared socket, no timeouts,
 * no accounts, no supervision: what is left is the protocol and the kernel.
 *
 *   limit WORKERS line|raw READY_FD
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MESSAGE_BYTES_MAX = 1024, CHUNK_BYTES = 16384, REPLY_BYTES_MAX = 8 * (CHUNK_BYTES + MESSAGE_BYTES_MAX) };
static const char HELLO[] = "Hello,", TOO_LONG[] = "Error,message too long\n";

static void die(const char *what) {
    perror(what);
    exit(1);
}

/* All of it; 0 when the peer is gone. */
static int send_all(int fd, const char *data, size_t size) {
    while (size) {
        ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);
        if (sent <= 0)
            return 0;
        data += sent;
        size -= sent;
    }
    return 1;
}

static char *append(char *to, const char *data, size_t size) {
    memcpy(to, data, size);
    return to + size;
}

static void converse_raw(int fd) {
    char message[MESSAGE_BYTES_MAX], reply[MESSAGE_BYTES_MAX + sizeof HELLO];
    ssize_t size;
    while ((size = recv(fd, message, sizeof message, 0)) > 0) {
        ssize_t bare = size;
        if (message[bare - 1] == '\n' && --bare && message[bare - 1] == '\r')
            bare--;
        if (bare == 4 && !memcmp(message, "exit", 4))
            return;
        char *end = append(append(reply, HELLO, sizeof HELLO - 1), message, size);
        if (!send_all(fd, reply, end - reply))
            return;
    }
}

/* All complete lines of a segment are answered in one send. */
static void converse_line(int fd) {
    static char input[MESSAGE_BYTES_MAX + CHUNK_BYTES], reply[REPLY_BYTES_MAX];
    size_t kept = 0;
    ssize_t size;
    while ((size = recv(fd, input + kept, CHUNK_BYTES, 0)) > 0) {
        char *line = input, *end = input + kept + size, *out = reply, *feed;
        int leave = 0;
        while (!leave && (feed = memchr(line, '\n', end - line))) {
            size_t length = feed - line;
            if (length && line[length - 1] == '\r')
                length--;
            if (length == 4 && !memcmp(line, "exit", 4)) {
                leave = 1;
            } else if (length > MESSAGE_BYTES_MAX) {
                out = append(out, TOO_LONG, sizeof TOO_LONG - 1);
                leave = 1;
            } else {
                out = append(append(out, HELLO, sizeof HELLO - 1), line, length);
                *out++ = '\n';
            }
            line = feed + 1;
        }
        kept = end - line;
        if (!leave && kept > MESSAGE_BYTES_MAX) {
            out = append(out, TOO_LONG, sizeof TOO_LONG - 1);
            leave = 1;
        }
        if ((out > reply && !send_all(fd, reply, out - reply)) || leave)
            return;
        memmove(input, line, kept);
    }
}

static void work(int listener, int line_framing) {
    const char *banner = line_framing ? "Welcome!\n" : "Welcome!";
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0)
            continue;
        if (send_all(fd, banner, strlen(banner)))
            (line_framing ? converse_line : converse_raw)(fd);
        close(fd);
    }
}

int main(int argc, char **argv) {
    if (argc != 4)
        return fputs("limit WORKERS line|raw READY_FD\n", stderr), 2;
    int workers = atoi(argv[1]), line_framing = !strcmp(argv[2], "line"), ready = atoi(argv[3]), one = 1;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    if (listener < 0 || bind(listener, (void *)&address, size) || listen(listener, 2048))
        die("listen");
    setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* inherited */
    getsockname(listener, (void *)&address, &size);
    for (int i = 0; i < workers; i++) {
        pid_t pid = fork();
        if (pid < 0)
            die("fork");
        if (pid == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            work(listener, line_framing);
        }
    }
    dprintf(ready, "listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
    close(ready);
    while (wait(NULL) > 0)
        ;
    return 1; /* workers never leave: they are ended with us */
}

/*
 * server: libmicrohttpd, and what keeps strangers out.
 *
 * Another page in the visitor's browser can send requests here, and another name can be made to
 * mean this address. So a request must name this host and port (Host), must not come from another
 * page (Origin), and must know the token that stands in the address that was printed. What passes
 * is answered by the table of routes; nothing of what a request says is ever a path of a file.
 */
#define _GNU_SOURCE
#include "play.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct play {
    char token[PLAY_TOKEN + 1];
    char host[80]; /* as --host says it */
    const struct play_options *options;
    int port;
    struct visits *visits;
    pthread_mutex_t compiling, children;
};

struct visits *play_visits(struct play *p)
{
    return p->visits;
}

pthread_mutex_t *play_compiling(struct play *p)
{
    return &p->compiling;
}

const struct play_options *play_options(struct play *p)
{
    return p->options;
}

pthread_mutex_t *play_children(struct play *p)
{
    return &p->children;
}

/* --- who may ask ---------------------------------------------------------------------------------
 */

static bool same_secret(const char *a, const char *b, size_t size) /* in the same time, always */
{
    unsigned char differs = 0;

    for (size_t i = 0; i < size; i++)
        differs |= (unsigned char)(a[i] ^ b[i]);
    return differs == 0;
}

/* Where every address of the machine is listened to: a number is one of them, and no name is. */
static bool is_number(const struct play *p, const char *host)
{
    const bool any = strcmp(p->host, "0.0.0.0") == 0 || strcmp(p->host, "[::]") == 0;

    return any && host && strspn(host, "0123456789abcdefABCDEF.:[]") == strlen(host) &&
           strchr(host, ':');
}

static bool names_us(const struct play *p, const char *host)
{
    const char *const ours[] = { "127.0.0.1", "localhost", "[::1]", p->host };
    char expected[120];

    for (size_t i = 0; host && i < sizeof ours / sizeof *ours; i++) {
        snprintf(expected, sizeof expected, "%s:%d", ours[i], p->port);
        if (strcasecmp(host, expected) == 0)
            return true;
    }
    return is_number(p, host);
}

/* NULL, or why not; *path: what follows the token. */
static const char *guarded(const struct play *p, struct MHD_Connection *c, const char *url,
                           const char **path)
{
    const char *host = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Host");
    const char *origin = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Origin");

    if (!names_us(p, host))
        return "Host: this server is asked for by another name";
    if (origin && (strncmp(origin, "http://", 7) != 0 || strcasecmp(origin + 7, host) != 0))
        return "Origin: the request comes from another page";
    if (strlen(url) < PLAY_TOKEN + 2 || url[0] != '/' || url[PLAY_TOKEN + 1] != '/' ||
        !same_secret(url + 1, p->token, PLAY_TOKEN))
        return "the token in the address is wrong; taper play has printed the right one";
    *path = url + PLAY_TOKEN + 2;
    return NULL;
}

/* --- answers -------------------------------------------------------------------------------------
 */

static enum MHD_Result answer(struct MHD_Connection *c, unsigned status,
                              struct MHD_Response *response, const char *kind)
{
    static const char *const headers[][2] = {
        { "Content-Security-Policy",
          "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' "
          "data:; "
          "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'" },
        { "X-Content-Type-Options", "nosniff" },
        { "Referrer-Policy", "no-referrer" },
        { "Cross-Origin-Resource-Policy", "same-origin" },
        { "Cache-Control", "no-store" },
    };
    enum MHD_Result result;

    if (!response)
        return MHD_NO;
    MHD_add_response_header(response, "Content-Type", kind);
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
        MHD_add_response_header(response, headers[i][0], headers[i][1]);
    result = MHD_queue_response(c, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result answer_json(struct MHD_Connection *c, unsigned status, json_t *json)
{
    char *text = json_dumps(json, JSON_COMPACT);

    json_decref(json);
    if (!text)
        return MHD_NO;
    return answer(c, status,
                  MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE),
                  "application/json");
}

static enum MHD_Result complain(struct MHD_Connection *c, unsigned status, const char *text)
{
    return answer_json(c, status, json_pack("{s:s}", "error", text));
}

/* --- a stream of events --------------------------------------------------------------------------
 */

struct stream {
    struct visit *visit;
    uint64_t seen[PLAY_SLOTS];
};

static ssize_t stream_read(void *cls, uint64_t position, char *room, size_t size)
{
    struct stream *s = cls;
    const ssize_t got = play_visit_event(s->visit, s->seen, room, size);

    (void)position;
    return got < 0 ? MHD_CONTENT_READER_END_OF_STREAM : got;
}

static void stream_free(void *cls)
{
    struct stream *s = cls;

    play_visit_release(s->visit);
    free(s);
}

static enum MHD_Result answer_events(struct MHD_Connection *c, struct visit *visit)
{
    enum { BLOCK = 1 << 16 };
    struct stream *s = calloc(1, sizeof *s);
    struct MHD_Response *r;

    if (s)
        s->visit = visit;
    r = s ? MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK, stream_read, s, stream_free)
          : NULL;
    if (!r) {
        play_visit_release(visit);
        free(s);
        return MHD_NO;
    }
    return answer(c, MHD_HTTP_OK, r, "text/event-stream");
}

/* --- a request -----------------------------------------------------------------------------------
 */

struct upload { /* of one request, while it arrives */
    struct ir_text body;
    bool large;
};

static enum MHD_Result handle(struct play *p, struct MHD_Connection *c, const char *method,
                              const char *path, const struct upload *upload)
{
    struct play_request r = { .play = p };
    char room[200];
    bool known;
    json_error_t wrong;
    json_t *body = NULL, *said;
    play_handler *function = play_route(method, path, room, sizeof room, &r, &known);

    if (!function)
        return known ? complain(c, MHD_HTTP_METHOD_NOT_ALLOWED, "another method is expected")
                     : complain(c, MHD_HTTP_NOT_FOUND, "there is nothing of that name");
    if (strcmp(method, "POST") == 0) {
        body = upload->body.size ? json_loadb(upload->body.data, upload->body.size,
                                              JSON_REJECT_DUPLICATES, &wrong)
                                 : json_object();
        if (!json_is_object(body)) {
            json_decref(body);
            return complain(c, MHD_HTTP_BAD_REQUEST, "the body is no JSON object");
        }
        r.body = body;
    }
    said = function(&r);
    json_decref(body);
    if (r.events)
        return answer_events(c, r.events);
    if (r.text)
        return answer(
            c, MHD_HTTP_OK,
            MHD_create_response_from_buffer(r.size, (void *)r.text, MHD_RESPMEM_PERSISTENT),
            r.kind);
    if (said)
        return answer_json(c, MHD_HTTP_OK, said);
    return complain(c, MHD_HTTP_BAD_REQUEST, *r.error.text ? r.error.text : "not enough memory");
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *c, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *size, void **state)
{
    struct play *p = cls;
    struct upload *u = *state;
    const char *path, *refused, *length;

    (void)version;
    if (!u) {
        refused = guarded(p, c, url, &path);
        if (refused)
            return complain(c, MHD_HTTP_FORBIDDEN, refused);
        length = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Content-Length");
        if (length && strtoull(length, NULL, 10) > PLAY_BODY)
            return complain(c, MHD_HTTP_CONTENT_TOO_LARGE, "the request is larger than 1 MiB");
        *state = calloc(1, sizeof *u);
        return *state ? MHD_YES : MHD_NO;
    }
    if (*size) { /* a length was not said: what comes too much is not kept */
        u->large = u->large || u->body.size + *size > PLAY_BODY;
        if (u->large)
            return MHD_NO;
        ir_put_bytes(&u->body, data, *size);
        *size = 0;
        return MHD_YES;
    }
    return handle(p, c, method, url + PLAY_TOKEN + 2, u);
}

static void on_end(void *cls, struct MHD_Connection *c, void **state,
                   enum MHD_RequestTerminationCode code)
{
    struct upload *u = *state;

    (void)cls, (void)c, (void)code;
    if (u)
        ir_text_free(&u->body);
    free(u);
}

/* --- the command's life --------------------------------------------------------------------------
 */

static bool make_token(struct play *p, struct ir_error *error)
{
    unsigned char bytes[PLAY_TOKEN / 2];

    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return ir_error(error, IR_FAILED, "play: the system gives no random bytes");
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(p->token + 2 * i, 3, "%02x", bytes[i]);
    return true;
}

/* A socket that listens there; -1 with an error. */
static int listening(struct play *p, const struct play_options *o, struct ir_error *error)
{
    const struct addrinfo hints = { .ai_family = AF_UNSPEC,
                                    .ai_socktype = SOCK_STREAM,
                                    .ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV };
    struct sockaddr_storage bound;
    socklen_t length = sizeof bound;
    struct addrinfo *found = NULL;
    const int yes = 1;
    char port[16];
    int fd;

    snprintf(port, sizeof port, "%d", (int)o->port);
    snprintf(p->host, sizeof p->host, strchr(o->host, ':') ? "[%.60s]" : "%.60s", o->host);
    if (getaddrinfo(o->host, port, &hints, &found) != 0)
        return ir_error(error, IR_REFUSED,
                        "--host \"%.60s\": expected an address of this machine, as 127.0.0.1",
                        o->host),
               -1;
    fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (fd < 0 || bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, 64) != 0 ||
        getsockname(fd, (struct sockaddr *)&bound, &length) != 0) {
        ir_error(error, IR_FAILED, "play: %.60s port %d: %s", o->host, (int)o->port,
                 strerror(errno));
        if (fd >= 0)
            close(fd);
        fd = -1;
    } else {
        p->port = ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port
                                                    : ((struct sockaddr_in *)&bound)->sin_port);
    }
    freeaddrinfo(found);
    return fd;
}

static void open_browser(const char *address)
{
    const pid_t child = fork();

    if (child == 0) {
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        execlp("xdg-open", "xdg-open", address, (char *)NULL);
        _exit(127);
    }
}

static void serve(struct play *p, const struct play_options *o, const sigset_t *ends)
{
    const struct timespec a_while = { .tv_sec = 3 };
    char address[160];

    snprintf(address, sizeof address, "http://%s:%d/%s/", p->host, p->port, p->token);
    printf("taper play: %s\n", address);
    printf("Open it in a browser. It is for this machine%s; Ctrl-C ends it.\n",
           strcmp(p->host, "127.0.0.1") == 0 ? " alone" : " and whoever can reach it");
    fflush(stdout);
    if (o->open)
        open_browser(address);
    while (sigtimedwait(ends, NULL, &a_while) < 0)
        play_visits_sweep(p->visits);
}

int play_serve(const struct play_options *o, struct ir_error *error)
{
    struct play p = { .options = o };
    struct MHD_Daemon *daemon = NULL;
    sigset_t ends, before;
    int fd = -1;

    /* who ends the program wakes this thread, and no other is interrupted */
    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &ends, &before);
    signal(SIGPIPE, SIG_IGN);
    json_object_seed(0);
    pthread_mutex_init(&p.compiling, NULL);
    pthread_mutex_init(&p.children, NULL);
    p.visits = play_visits_new();
    if (!p.visits)
        ir_error(error, IR_FAILED, "not enough memory");
    else if (make_token(&p, error))
        fd = listening(&p, o, error);
    if (fd >= 0) {
        daemon = MHD_start_daemon(
            MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION, 0, NULL, NULL,
            on_request, &p, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_NOTIFY_COMPLETED, on_end, NULL,
            MHD_OPTION_CONNECTION_LIMIT, (unsigned)PLAY_CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT,
            60u, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)(1 << 17), MHD_OPTION_END);
        if (!daemon) {
            ir_error(error, IR_FAILED, "play: the server does not start");
            close(fd);
        }
    }
    if (daemon) {
        serve(&p, o, &ends);
        play_visits_end(p.visits);
        MHD_stop_daemon(daemon);
    }
    play_visits_free(p.visits);
    pthread_mutex_destroy(&p.compiling);
    pthread_mutex_destroy(&p.children);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error->status;
}

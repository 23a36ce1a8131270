/* wire.c - see wire.h: the lws context and the one lws callback. */
/* SPDX-License-Identifier: MIT */
#include "net/wire.h"

#include <fcntl.h>
#include <libwebsockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/spare.h"
#include "net/admission.h"
#include "net/takeover.h"

enum {
    SERVICE_BUFFER = 65536,
    FAILED_MS = 1000,        /* until what lws refused is forgotten, if lws does not say so before */
    LWS_TIMEOUT_SECS = 3600, /* of lws itself, by default 5 s: ours count */
};

struct mw_wire {
    struct lws_context *context;
    struct mw_engine *engine;
    struct pending *pending; /* TLS handshakes that go on */
    int stub;
    unsigned next_name;
};

struct mw_wire_vhost {
    struct mw_wire *wire;
    struct lws_vhost *lws;
    struct mw_tls_server *tls;
    SSL_CTX *front; /* of lws; not looked at after the beginning */
    uint32_t handshake_timeout_ms;
    unsigned refs;
};

/* One accepted connection while lws has it; hangs on the wsi as its opaque user data. */
struct pending {
    struct mw_wheel_node timer; /* first */
    struct pending *next;
    struct pending **link;
    struct mw_wire *wire;
    struct lws *wsi;
    struct mw_admission *admission;
    mw_wire_ready ready; /* NULL: the owner is gone */
    void *owner;
    struct mw_takeover takeover;
    struct mw_buffer early;
    int placeholder; /* a descriptor; -1: none */
    bool taken;
};

/* ---- one connection ---- */

static void drop_pending(struct pending *pending)
{
    struct mw_engine *engine = pending->wire->engine;

    *pending->link = pending->next;
    if (pending->next)
        pending->next->link = pending->link;
    mw_wheel_cancel(&engine->wheel, &pending->timer);
    mw_buffer_free(&pending->early);
    if (pending->placeholder >= 0)
        close(pending->placeholder);
    mw_engine_release(engine);
    free(pending);
}

static void no_events(void *owner)
{
    (void)owner;
}

/* lws has let go: the connection goes on as one of ours, or is forgotten. */
static void destroyed(struct pending *pending)
{
    static const struct mw_socket_events quiet = {.readable = no_events, .writable = no_events};
    struct mw_engine *engine = pending->wire->engine;
    struct mw_socket *socket = NULL;

    if (pending->taken) {
        mw_takeover_end(&pending->takeover);
        if (pending->ready)
            socket = mw_socket_new(engine, pending->takeover.fd, pending->takeover.ssl, &quiet, NULL);
        if (!socket) {
            /* Otherwise nobody wants it any more: its listener was closed. */
            if (pending->ready)
                mw_log(MW_LOG_ERROR, "not enough memory for a connection: it is closed");
            SSL_free(pending->takeover.ssl);
            close(pending->takeover.fd);
        }
    }
    if (!socket) {
        engine->counters.tls_failed++;
        mw_admission_leave(engine, pending->admission);
        drop_pending(pending);
        return;
    }
    engine->counters.tls_accepted++;
    socket->admission = pending->admission;
    /* OpenSSL may hold more bytes than lws read; epoll can't see those. */
    mw_socket_read_again(socket);
    pending->ready(pending->owner, socket, pending->early.data, pending->early.len);
    drop_pending(pending);
}

/* Not LWS_TO_KILL_ASYNC: outside of its own callbacks lws does not start the timer which that relies on. */
static void drop(struct pending *pending)
{
    if (pending->wsi)
        lws_set_timeout(pending->wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_SYNC);
}

static void on_timeout(struct mw_wheel_node *node)
{
    struct pending *pending = (struct pending *)node;

    if (pending->wsi) {
        drop(pending);
        return;
    }
    mw_admission_leave(pending->wire->engine, pending->admission);
    drop_pending(pending);
}

/* lws has made the context that handshakes begin in, and offers it to be set up; the vhost waits for it. */
static void take_front(struct lws *wsi, SSL_CTX *front)
{
    struct mw_wire_vhost *vhost = lws_get_vhost_user(lws_get_vhost(wsi));
    vhost->front = front;
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
    struct pending *pending = wsi ? lws_get_opaque_user_data(wsi) : NULL;

    switch (reason) {
    case LWS_CALLBACK_RAW_RX:
        if (!pending)
            return -1;
        /* Callbacks for what was already read can still follow the first. */
        if (!mw_buffer_append(&pending->early, in, len) && !pending->taken)
            return -1;
        if (!pending->taken)
            pending->taken = mw_takeover_begin(&pending->takeover, wsi, pending->wire->stub);
        return -1;
    case LWS_CALLBACK_WSI_DESTROY:
        if (pending) {
            lws_set_opaque_user_data(wsi, NULL);
            destroyed(pending);
        }
        return 0;
    case LWS_CALLBACK_OPENSSL_LOAD_EXTRA_SERVER_VERIFY_CERTS:
        take_front(wsi, user);
        return 0;
    default:
        return 0;
    }
}

static bool is_waiting(const struct mw_wire *wire, const struct pending *pending)
{
    const struct pending *each = wire->pending;

    while (each && each != pending)
        each = each->next;
    return each;
}

/* libuv may still have a descriptor on its list that lws has closed, and ends the process if there is nothing of that number. -1:
 * there is something. */
static int keep_number(const struct mw_wire *wire, int fd)
{
    int kept = fcntl(wire->stub, F_DUPFD_CLOEXEC, fd);

    if (kept == fd)
        return kept;
    if (kept >= 0)
        close(kept);
    return -1;
}

void mw_wire_accept(struct mw_wire_vhost *vhost, int fd, struct mw_admission *admission, mw_wire_ready ready,
                    void *owner)
{
    struct mw_wire *wire = vhost->wire;
    struct pending *pending = calloc(1, sizeof *pending);

    if (!pending) {
        mw_log(MW_LOG_ERROR, "not enough memory for a connection: it is closed");
        mw_admission_leave(wire->engine, admission);
        close(fd);
        return;
    }
    *pending =
        (struct pending){.wire = wire, .admission = admission, .ready = ready, .owner = owner, .placeholder = -1};
    pending->timer.fire = on_timeout;
    pending->next = wire->pending;
    pending->link = &wire->pending;
    if (pending->next)
        pending->next->link = &pending->next;
    wire->pending = pending;
    mw_engine_hold(wire->engine);
    lws_sock_file_fd_type descriptor = {.sockfd = fd};
    struct lws_adopt_desc adopt = {
        .vh = vhost->lws,
        .type = (lws_adoption_type)(LWS_ADOPT_SOCKET | LWS_ADOPT_ALLOW_SSL),
        .fd = descriptor,
        .vh_prot_name = "moonwire",
        .opaque = pending,
    };
    struct lws *wsi = lws_adopt_descriptor_vhost_via_info(&adopt);
    /* When it fails lws has closed the descriptor, and destroys the wsi sooner or later, which ends `pending` (or has, already);
     * if there was memory for one at all: otherwise the timer does. */
    if (!wsi && !is_waiting(wire, pending))
        return;
    pending->wsi = wsi;
    if (!wsi)
        pending->placeholder = keep_number(wire, fd);
    uint32_t timeout_ms = wsi ? vhost->handshake_timeout_ms : FAILED_MS;
    if (timeout_ms)
        mw_wheel_set(&wire->engine->wheel, &pending->timer, timeout_ms);
}

/* ---- the context ---- */

/* What lws keeps on the loop for itself must not keep the process alive. */
static void unref_new(uv_handle_t *handle, void *known)
{
    uv_handle_t **list = known;

    for (size_t i = 0; list[i]; i++)
        if (list[i] == handle)
            return;
    uv_unref(handle);
}

struct handle_list {
    uv_handle_t **handles;
    size_t count;
};

static void collect(uv_handle_t *handle, void *arg)
{
    struct handle_list *list = arg;

    if (list->handles)
        list->handles[list->count] = handle;
    list->count++;
}

/* lws writes through NULL in places. */
static void *spare_realloc(void *block, size_t size, const char *reason)
{
    (void)reason;
    return mw_spare_realloc(block, size);
}

static bool create_context(struct mw_wire *wire)
{
    static const lws_retry_bo_t no_pings; /* all zero: lws' own validity timers are a sorted list */
    struct handle_list known = {0};
    void *loops[1] = {wire->engine->loop};
    struct lws_context_creation_info info;

    uv_walk(wire->engine->loop, collect, &known);
    known.handles = calloc(known.count + 1, sizeof *known.handles);
    if (!known.handles)
        return false;
    known.count = 0;
    uv_walk(wire->engine->loop, collect, &known);
    lws_set_log_level(0, NULL);
    lws_set_allocator(spare_realloc);
    memset(&info, 0, sizeof info);
    info.port = CONTEXT_PORT_NO_LISTEN;
    info.foreign_loops = loops;
    info.options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS | LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
    info.pt_serv_buf_size = SERVICE_BUFFER;
    info.timeout_secs = LWS_TIMEOUT_SECS;
    info.retry_and_idle_policy = &no_pings;
    info.pcontext = &wire->context;
    wire->context = lws_create_context(&info);
    if (wire->context)
        uv_walk(wire->engine->loop, unref_new, known.handles);
    free(known.handles);
    return wire->context != NULL;
}

static struct mw_wire *wire_of(struct mw_engine *engine)
{
    struct mw_wire *wire = engine->wire;

    if (wire)
        return wire;
    wire = calloc(1, sizeof *wire);
    if (!wire)
        return NULL;
    wire->engine = engine;
    wire->stub = mw_takeover_stub();
    if (wire->stub < 0 || !create_context(wire)) {
        if (wire->stub >= 0)
            close(wire->stub);
        free(wire);
        return NULL;
    }
    engine->wire = wire;
    return wire;
}

static struct lws_vhost *create_vhost(struct mw_wire_vhost *vhost)
{
    static const struct lws_protocols protocols[] = {{.name = "moonwire", .callback = on_event}, {0}};
    static const lws_retry_bo_t no_pings;
    struct lws_context_creation_info info;
    char name[32];

    snprintf(name, sizeof name, "tls-%u", ++vhost->wire->next_name);
    memset(&info, 0, sizeof info);
    info.port = CONTEXT_PORT_NO_LISTEN_SERVER;
    info.protocols = protocols;
    info.vhost_name = name;
    info.user = vhost;
    info.retry_and_idle_policy = &no_pings;
    /* Without files of its own: tls_server.h reads them. */
    info.options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT | LWS_SERVER_OPTION_CREATE_VHOST_SSL_CTX;
    return lws_create_vhost(vhost->wire->context, &info);
}

struct mw_wire_vhost *mw_wire_vhost_new(struct mw_engine *engine, const struct mw_tls_server_options *options,
                                        uint32_t handshake_timeout_ms, char *why, size_t size)
{
    struct mw_tls_server *tls = mw_tls_server_new(engine, options, why, size);

    if (!tls)
        return NULL;
    struct mw_wire *wire = wire_of(engine);
    struct mw_wire_vhost *vhost = wire ? calloc(1, sizeof *vhost) : NULL;
    if (vhost) {
        *vhost =
            (struct mw_wire_vhost){.wire = wire, .tls = tls, .handshake_timeout_ms = handshake_timeout_ms, .refs = 1};
        vhost->lws = create_vhost(vhost);
    }
    /* Only now: lws changes the context once more after it has offered it. */
    if (!vhost || !vhost->lws || !vhost->front || !mw_tls_server_attach(tls, vhost->front)) {
        snprintf(why, size, "tls: libwebsockets can't be set up");
        if (vhost && vhost->lws)
            lws_vhost_destroy(vhost->lws);
        mw_tls_server_free(tls);
        free(vhost);
        return NULL;
    }
    return vhost;
}

struct mw_tls_server *mw_wire_vhost_tls(const struct mw_wire_vhost *vhost)
{
    return vhost->tls;
}

void mw_wire_vhost_release(struct mw_wire_vhost *vhost)
{
    if (--vhost->refs)
        return;
    lws_vhost_destroy(vhost->lws);
    mw_tls_server_free(vhost->tls);
    free(vhost);
}

void mw_wire_retire(struct mw_engine *engine, const void *owner)
{
    struct pending *next;

    for (struct pending *pending = engine->wire ? engine->wire->pending : NULL; pending; pending = next) {
        next = pending->next;
        if (pending->owner != owner)
            continue;
        /* One that has been taken over already is only waited for: lws lets go of it in a later turn. */
        pending->ready = NULL;
        if (!pending->taken)
            drop(pending);
    }
}

void mw_wire_close(struct mw_engine *engine)
{
    if (engine->wire && engine->wire->context)
        lws_context_destroy(engine->wire->context);
}

void mw_wire_free(struct mw_engine *engine)
{
    struct mw_wire *wire = engine->wire;

    if (!wire)
        return;
    /* The second call frees what the first left for the loop to finish. */
    if (wire->context)
        lws_context_destroy(wire->context);
    close(wire->stub);
    free(wire);
    engine->wire = NULL;
}

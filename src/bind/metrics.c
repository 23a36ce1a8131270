/* metrics.c - see metrics.h. */
/* SPDX-License-Identifier: MIT */
#include "bind/metrics.h"

#include <dirent.h>
#include <lauxlib.h>
#include <stdio.h>
#include <sys/resource.h>

#include "bind/allocator.h"
#include "bind/server.h"
#include "bind/ws.h"
#include "net/admission.h"
#include "net/counters.h"

static void set(lua_State *L, const char *name, uint64_t value)
{
    lua_pushinteger(L, (lua_Integer)value);
    lua_setfield(L, -2, name);
}

static void push_counters(lua_State *L, const struct mw_counters *counters)
{
    set(L, "messages_received", counters->messages_received);
    set(L, "messages_sent", counters->messages_sent);
    set(L, "bytes_received", counters->bytes_received);
    set(L, "bytes_sent", counters->bytes_sent);
    set(L, "publications", counters->publications);
    set(L, "turns", counters->turns);
    set(L, "accepted", counters->accepted);
    set(L, "handler_errors", counters->handler_errors);
}

/* Tables whose keys become labels. */
static void push_labelled(lua_State *L, const struct mw_counters *counters)
{
    lua_createtable(L, 0, MW_REFUSALS);
    set(L, "max_connections", counters->refused[MW_REFUSED_CONNECTIONS]);
    set(L, "max_per_address", counters->refused[MW_REFUSED_ADDRESS]);
    set(L, "max_connects_per_address", counters->refused[MW_REFUSED_CONNECTS]);
    set(L, "descriptors", counters->refused[MW_REFUSED_DESCRIPTORS]);
    lua_setfield(L, -2, "refused");
    lua_createtable(L, 0, 2);
    set(L, "server", counters->websockets_opened[false]);
    set(L, "client", counters->websockets_opened[true]);
    lua_setfield(L, -2, "websockets_opened");
    lua_createtable(L, 0, 2);
    set(L, "ok", counters->tls_accepted);
    set(L, "failed", counters->tls_failed);
    lua_setfield(L, -2, "tls_handshakes");
    lua_createtable(L, 0, MW_ENDING_RULES);
    for (unsigned rule = 1; rule < MW_ENDING_RULES; rule++)
        set(L, mw_ending_name(rule), counters->ended[rule]);
    lua_setfield(L, -2, "ended");
    lua_createtable(L, 0, MW_STATUS_CLASSES);
    for (unsigned class = 2; class < MW_STATUS_CLASSES; class ++) {
        lua_pushfstring(L, "%dxx", (int)class);
        lua_pushinteger(L, (lua_Integer)counters->responses[class]);
        lua_rawset(L, -3);
    }
    lua_setfield(L, -2, "responses");
}

static void push_times(lua_State *L, const struct mw_counters *counters)
{
    lua_createtable(L, 0, 3);
    lua_createtable(L, MW_TIME_BUCKETS + 1, 0);
    for (int i = 0; i <= MW_TIME_BUCKETS; i++) {
        lua_pushinteger(L, (lua_Integer)counters->handler_times[i]);
        lua_rawseti(L, -2, i + 1);
    }
    lua_setfield(L, -2, "buckets");
    lua_createtable(L, MW_TIME_BUCKETS, 0);
    for (int i = 0; i < MW_TIME_BUCKETS; i++) {
        lua_pushnumber(L, (lua_Number)mw_time_bounds[i] / 1e9);
        lua_rawseti(L, -2, i + 1);
    }
    lua_setfield(L, -2, "bounds");
    lua_pushnumber(L, (lua_Number)counters->handler_ns / 1e9);
    lua_setfield(L, -2, "sum");
    lua_setfield(L, -2, "handler_times");
}

/* One look at every WebSocket. */
static void push_sockets(lua_State *L, const struct mw_runtime *runtime)
{
    uint64_t open[2] = {0}, bytes = 0, most = 0, waiting = 0;

    for (const struct mw_ws *ws = runtime->sockets; ws; ws = ws->next) {
        if (!ws->connection)
            continue;
        uint64_t queued = ws->connection->queue.bytes;
        open[ws->connection->is_client]++;
        bytes += queued;
        most = queued > most ? queued : most;
        waiting += queued != 0;
    }
    lua_createtable(L, 0, 2);
    set(L, "server", open[false]);
    set(L, "client", open[true]);
    lua_setfield(L, -2, "websockets");
    set(L, "queue_bytes", bytes);
    set(L, "queue_bytes_max", most);
    set(L, "queues_waiting", waiting);
}

static void push_servers(lua_State *L, const struct mw_runtime *runtime)
{
    uint64_t listeners = 0, http = 0;

    for (const struct mw_server *server = runtime->servers; server; server = server->next) {
        if (server->background)
            continue;
        listeners += server->listener != NULL;
        http += server->exchanges;
    }
    set(L, "listeners", listeners);
    set(L, "http_connections", http);
    set(L, "connections", mw_admissions_total(runtime->engine));
}

static uint64_t count_descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    uint64_t count = 0;

    if (!directory)
        return 0;
    for (const struct dirent *entry; (entry = readdir(directory));)
        count += entry->d_name[0] != '.';
    closedir(directory);
    return count - 1; /* the one that this took */
}

static void push_process(lua_State *L, const struct mw_runtime *runtime)
{
    struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
    void *allocator;

    getrlimit(RLIMIT_NOFILE, &limit);
    set(L, "descriptors", count_descriptors());
    set(L, "descriptors_max", limit.rlim_cur);
    lua_getallocf(L, &allocator);
    set(L, "lua_limit", ((const struct mw_allocator *)allocator)->limit);
    lua_pushboolean(L, runtime->stopping);
    lua_setfield(L, -2, "is_stopping");
    lua_pushboolean(L, runtime->script_over);
    lua_setfield(L, -2, "is_set_up");
}

int mw_metrics_lua_read(lua_State *L)
{
    const struct mw_runtime *runtime = mw_runtime_of(L);
    const struct mw_counters *counters = &runtime->engine->counters;

    lua_newtable(L);
    push_counters(L, counters);
    push_labelled(L, counters);
    push_times(L, counters);
    push_sockets(L, runtime);
    push_servers(L, runtime);
    push_process(L, runtime);
    return 1;
}

int mw_metrics_lua_time(lua_State *L)
{
    mw_runtime_of(L)->timed = true;
    return 0;
}

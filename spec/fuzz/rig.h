/* rig.h - an engine without a network for fuzz targets: real sockets of the engine, the other end in the target's hand, and
 * turns that are taken by hand while the clock stands still, so that the same input always does the same.
 * Owns one engine for the process; every input has to leave it as it found it. */
/* SPDX-License-Identifier: MIT */
#ifndef MW_SPEC_FUZZ_RIG_H
#define MW_SPEC_FUZZ_RIG_H

#include "base/buffer.h"
#include "net/engine.h"
#include "net/socket.h"

/* Made when first asked for. */
struct mw_engine *rig_engine(void);

/* A connected socket of the engine whose owner is to be set; `*peer` is the other end. */
struct mw_socket *rig_pair(int *peer);
/* The path of a Unix socket that takes connections of the engine. */
const char *rig_path(void);
/* The other end of a connection to rig_path; -1 when there is none. */
int rig_accept(void);

/* Lets an accepted connection be told that it is one; what it sends at once is added to `request`. */
void rig_open(int peer, struct mw_buffer *request);

/* The engine's only socket, or NULL. */
struct mw_socket *rig_socket(void);
/* Sends bytes from the peer and lets the engine's socket read them and answer; what it sends is added to `answer`. */
void rig_send(int peer, const void *data, size_t len, struct mw_buffer *answer);
/* Turns until nothing moves any more. */
void rig_settle(int peer, struct mw_buffer *answer);
/* The peer sends nothing any more. */
void rig_half_close(int peer, struct mw_buffer *answer);
/* Only the end of the turn: what was asked for outside of an event. */
void rig_end_turn(void);
/* Closes the peer's end, gives sockets that linger their last event, and checks that the engine is as it was. */
void rig_done(int peer);

#endif

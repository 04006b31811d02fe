/*
 * WebSocket (RFC 6455) without I/O: frames in, events out; the opening handshake; permessage-deflate
 * negotiation (RFC 7692).
 */
#ifndef NET_WS_H
#define NET_WS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "net/http.h"

enum ws_opcode { WS_CONT = 0, WS_TEXT = 1, WS_BINARY = 2, WS_CLOSE = 8, WS_PING = 9, WS_PONG = 10 };

enum ws_code {		/* RFC 6455 section 7.4.1 and its registry */
	WS_NORMAL = 1000, WS_AWAY = 1001, WS_PROTOCOL = 1002, WS_UNSUPPORTED = 1003, WS_NO_STATUS = 1005, WS_ABNORMAL = 1006,
	WS_BAD_DATA = 1007, WS_POLICY = 1008, WS_TOO_BIG = 1009, WS_INTERNAL = 1011, WS_RESTART = 1012, WS_TRY_LATER = 1013
};

struct ws_limits {
	uint64_t	max_message;	/* bytes of one message, all fragments (compressed: as sent) */
	uint32_t	max_fragments;	/* frames of one message; more: 1008 */
};

/*
 * The reader's state: a frame may be cut anywhere. All zero plus `deflate` is the start. Small: one per
 * connection.
 */
struct ws_parser {
	uint8_t		 head[14];	/* header bytes of a frame that is not complete */
	uint8_t		 n_head;
	uint8_t		 opcode;	/* of the frame under way */
	uint8_t		 message;	/* opcode of the message under way, 0 = none */
	bool		 fin;
	bool		 in_frame;	/* the header is read, payload follows */
	bool		 deflate;	/* negotiated: RSV1 is legal on a message's first frame */
	bool		 compressed;	/* the message under way has RSV1 */
	uint8_t		 n_control;	/* bytes of a control frame's payload kept in control */
	uint32_t	 utf8;		/* state of the text message under way */
	uint32_t	 mask;		/* already rotated for the next payload byte */
	uint32_t	 fragments;
	uint64_t	 left;		/* payload bytes of this frame to come */
	uint64_t	 size;		/* payload bytes of this message, announced so far */
	char		*control;	/* a control frame's payload that came in pieces: 125 bytes, ours, NULL mostly */
};

enum ws_event_kind {
	WS_EV_NONE,		/* more bytes are wanted */
	WS_EV_DATA,		/* part or all of a data message; unmasked in place */
	WS_EV_PING,
	WS_EV_PONG,
	WS_EV_CLOSE		/* code and reason; code WS_NO_STATUS for an empty one */
};

/* `data` borrows the input (or the parser, for control frames) until the next call. */
struct ws_event {
	enum ws_event_kind kind;
	struct slice	data;
	bool		binary;		/* DATA */
	bool		compressed;	/* DATA: deflated; its UTF-8 is then not checked here */
	bool		first;		/* DATA: the message begins here */
	bool		last;		/* DATA: the message ends here */
	unsigned	code;		/* CLOSE */
};

/*
 * Reads up to one event from in[0..n), unmasking in place. Returns the bytes consumed (at least 1 unless n ==
 * 0), or minus the close code to fail the connection with: -1002, -1007 (at the latest at the end of the
 * frame with the invalid UTF-8), -1008 (too many fragments), -1009 (at the header that makes the sum too
 * big). A zero-length data frame gives an event too. First and last chunk being the same event means that the
 * whole message lies in `data`.
 */
ssize_t ws_parse(struct ws_parser *, const struct ws_limits *, char *in, size_t n, struct ws_event *);
/* Frees what the parser holds. */
void ws_parser_done(struct ws_parser *);
/* True if a peer may send this close code (RFC 6455 section 7.4): 1000-1003, 1007-1014, 3000-4999. */
bool ws_code_is_legal(unsigned code);
/*
 * XORs n bytes with the mask (its first byte lowest), 8 or 16 at a time; returns the mask rotated for the
 * byte behind.
 */
uint32_t ws_unmask(char *p, size_t n, uint32_t mask);

#define WS_ACCEPT_LEN	28
/* Sec-WebSocket-Accept of a key into out[WS_ACCEPT_LEN + 1] (RFC 6455 section 4.2.2). */
void ws_accept_key(struct slice key, char *out);
/*
 * Checks the upgrade's fields. Returns 0 with *key, or the status to refuse with: -400 (no or wrong Upgrade
 * or Connection, key missing, twice or not base64 of 16 octets; a body or Transfer-Encoding), -405 (not GET),
 * -426 (version missing or not exactly "13"), -400 for HTTP/1.0.
 */
int ws_check_upgrade(const struct http_request *, struct slice *key);

/* What permessage-deflate was agreed: 0 bits = none. */
struct ws_deflate {
	uint8_t	server_bits;	/* our window, 9..15; 0 = no compression */
	uint8_t	client_bits;	/* theirs, 8..15 */
};
/*
 * Takes the first acceptable offer of Sec-WebSocket-Extensions; appends the answer ("permessage-deflate;
 * server_no_context_takeover; client_no_context_takeover[; server_max_window_bits=N]") to *answer, nothing if
 * none is acceptable. A malformed, repeated or unknown parameter declines that offer (server_max_window_bits
 * 8 too: zlib cannot).
 */
struct ws_deflate ws_negotiate(const struct http_request *, struct buf *answer);

#endif

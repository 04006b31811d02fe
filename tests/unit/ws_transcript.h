/*
 * What a parser tells, as text that does not depend on how its input was cut: "t<Hello>" is a text message,
 * "b<...>" a binary one, "z" before it a compressed one, "P(...)" "O(...)" "C(code,reason)" are ping, pong
 * and close, "!1002" is the end. For test_ws.c and fuzz_ws_frames.c.
 */
#ifndef WS_TRANSCRIPT_H
#define WS_TRANSCRIPT_H

#include <assert.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "net/ws.h"

struct transcript {
	struct ws_parser  parser;
	struct ws_limits  limits;
	struct buf	  text;
	ssize_t		  error;	/* 0, or minus a close code: nothing is read then */
	bool		  closed;	/* a close frame was read: nor is anything then */
};

static inline void
transcript_add_event(struct transcript *t, const struct ws_event *ev)
{
	switch (ev->kind) {
	case WS_EV_NONE:
		break;
	case WS_EV_DATA:
		if (ev->first)
			buf_addf(&t->text, "%s%c<", ev->compressed ? "z" : "", ev->binary ? 'b' : 't');
		buf_add_slice(&t->text, ev->data);
		if (ev->last)
			buf_add_char(&t->text, '>');
		break;
	case WS_EV_PING:
	case WS_EV_PONG:
		buf_add_str(&t->text, ev->kind == WS_EV_PING ? "P(" : "O(");
		buf_add_slice(&t->text, ev->data);
		buf_add_char(&t->text, ')');
		break;
	case WS_EV_CLOSE:
		buf_addf(&t->text, "C(%u,", ev->code);
		buf_add_slice(&t->text, ev->data);
		buf_add_char(&t->text, ')');
		t->closed = true;
		break;
	}
}

static inline void
transcript_read(struct transcript *t, char *p, size_t n)
{
	struct ws_event ev;
	size_t		used = 0;
	ssize_t		r;

	while (used < n && t->error == 0 && !t->closed) {
		r = ws_parse(&t->parser, &t->limits, p + used, n - used, &ev);
		if (r < 0)
			t->error = r;
		else {
			assert(r > 0 && (size_t)r <= n - used);
			transcript_add_event(t, &ev);
			used += (size_t)r;
		}
	}
}

/* Feeds a copy in memory of just that size, which a sanitizer guards. */
static inline void
transcript_feed(struct transcript *t, const char *p, size_t n)
{
	autofree char *copy = xmalloc(n);

	if (n > 0)
		memcpy(copy, p, n);
	transcript_read(t, copy, n);
}

/* The text so far, with the error behind it. */
static inline struct slice
transcript_end(struct transcript *t)
{
	if (t->error != 0)
		buf_addf(&t->text, "!%zd", -t->error);
	return buf_slice(&t->text);
}

static inline void
transcript_done(struct transcript *t)
{
	ws_parser_done(&t->parser);
	buf_done(&t->text);
}

#endif

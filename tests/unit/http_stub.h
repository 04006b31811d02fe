/*
 * Somebody else's HTTP server, on 127.0.0.1 and on the loop of the test, that does what the path says.
 */
#ifndef HTTP_STUB_H
#define HTTP_STUB_H

#include "net/http_server.h"
#include "net/listener.h"

#define STUB_MAX_PENDING 2048

/*
 * "/later": is left to the test. "/hangup": the connection ends. "/huge": 20,000 bytes. "/head": a head of 80,000. "/NUMBER":
 * that status. Else 200 and the `answer`.
 */
struct http_stub {
	struct loop		*loop;
	struct listener		*listener;
	struct http_server	 http;
	char			 url[64];	/* http://127.0.0.1:PORT */
	const char		*answer;
	unsigned		 n_connections;	/* so far */
	unsigned		 n_requests;
	struct buf		 seen;		/* the last request: "METHOD target\n", fields as "name: value\n", "\n", body */
	struct http_conn	*pending[STUB_MAX_PENDING];
	unsigned		 n_pending;
};

void http_stub_init(struct http_stub *, struct loop *);
void http_stub_done(struct http_stub *);
/* 200 and that, to all who are pending. Those who have gone are pending no more. */
void http_stub_answer(struct http_stub *, const char *answer);

/* Turns the loop until *n is (at least) that. */
void turn_until(struct loop *, const unsigned *n, unsigned is);

#endif

/* floor - the least a WebSocket fan-out server can do, to know the machine's limit.
 *
 * Build:  cc -O2 -o floor floor.c -lcrypto
 *
 * Real WebSocket upgrade, then: each message from a publisher becomes one frame,
 * encoded once, written to every subscriber of its room.  No JSON, no topics.
 *   /s/R  subscriber in room R     /p/R  publisher to room R     /b/R  both     /e  echo
 * --mode send     one send() per subscriber and message
 * --mode writev   messages that arrived in one loop turn go out with one writev per subscriber
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/sha.h>

typedef struct {
	int room;
	uint8_t open, sub, pub, echo;
	uint32_t inlen, outlen;
	char *in, *out;
} conn_t; /* 32 bytes */
typedef struct {
	int *fd;
	int n, cap;
	struct iovec *q;
	int nq, qcap;
} room_t;
enum { SEND, WRITEV };
static int mode, ep;
static conn_t *C;
static room_t *R;
static int nroom, *dirty, ndirty;
static char rbuf[1 << 20];
static unsigned long n_send, n_msg, n_short;

static void
drop(int fd)
{
	conn_t *c = &C[fd];
	if (c->sub) {
		room_t *r = &R[c->room];
		for (int i = 0; i < r->n; i++)
			if (r->fd[i] == fd) {
				r->fd[i] = r->fd[--r->n];
				break;
			}
	}
	free(c->in);
	free(c->out);
	memset(c, 0, sizeof *c);
	close(fd);
}

static void
park(int fd, const char *d, size_t n)
{ /* the socket is full: keep the rest */
	conn_t *c = &C[fd];
	n_short++;
	if (!c->outlen) {
		struct epoll_event e = {.events = EPOLLIN | EPOLLOUT, .data.fd = fd};
		epoll_ctl(ep, EPOLL_CTL_MOD, fd, &e);
	}
	c->out = realloc(c->out, c->outlen + n);
	memcpy(c->out + c->outlen, d, n);
	c->outlen += (uint32_t)n;
}

static void
put(int fd, const char *d, size_t n)
{
	if (C[fd].outlen) {
		park(fd, d, n);
		return;
	}
	n_send++;
	ssize_t k = send(fd, d, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (k == (ssize_t)n)
		return;
	if (k < 0) {
		if (errno != EAGAIN)
			return;
		k = 0;
	}
	park(fd, d + k, n - (size_t)k);
}

static void
put_v(int fd, struct iovec *v, int nv)
{
	size_t tot = 0;
	for (int i = 0; i < nv; i++)
		tot += v[i].iov_len;
	ssize_t k = 0;
	if (!C[fd].outlen) {
		n_send++;
		k = writev(fd, v, nv);
		if (k == (ssize_t)tot)
			return;
		if (k < 0) {
			if (errno != EAGAIN)
				return;
			k = 0;
		}
	}
	for (int i = 0; i < nv; i++) {
		if (k >= (ssize_t)v[i].iov_len) {
			k -= (ssize_t)v[i].iov_len;
			continue;
		}
		park(fd, (char *)v[i].iov_base + k, v[i].iov_len - (size_t)k);
		k = 0;
	}
}

static size_t
frame(char *o, const char *d, size_t n, int op)
{
	size_t h = 2;
	o[0] = (char)(0x80 | op);
	if (n < 126)
		o[1] = (char)n;
	else if (n < 65536) {
		o[1] = 126;
		o[2] = (char)(n >> 8);
		o[3] = (char)n;
		h = 4;
	} else {
		o[1] = 127;
		for (int i = 0; i < 8; i++)
			o[2 + i] = (char)((uint64_t)n >> (56 - 8 * i));
		h = 10;
	}
	memcpy(o + h, d, n);
	return h + n;
}

static void
publish(int room, const char *d, size_t n, int op)
{
	static char out[1 << 16];
	room_t *r = &R[room];
	n_msg++;
	if (n > sizeof out - 16)
		return;
	if (mode == SEND) {
		size_t l = frame(out, d, n, op);
		for (int i = 0; i < r->n; i++)
			put(r->fd[i], out, l);
		return;
	}
	if (!r->nq)
		dirty[ndirty++] = room;
	if (r->nq == r->qcap) {
		r->qcap = r->qcap ? r->qcap * 2 : 16;
		r->q = realloc(r->q, sizeof *r->q * (size_t)r->qcap);
	}
	char *f = malloc(n + 10);
	r->q[r->nq].iov_len = frame(f, d, n, op);
	r->q[r->nq++].iov_base = f;
}

static void
end_of_turn(void)
{
	for (int k = 0; k < ndirty; k++) {
		room_t *r = &R[dirty[k]];
		for (int o = 0; o < r->nq; o += 512) {
			int m = r->nq - o < 512 ? r->nq - o : 512;
			for (int i = 0; i < r->n; i++)
				put_v(r->fd[i], r->q + o, m);
		}
		for (int i = 0; i < r->nq; i++)
			free(r->q[i].iov_base);
		r->nq = 0;
	}
	ndirty = 0;
}

static int
upgrade(int fd, char *req)
{
	conn_t *c = &C[fd];
	char b[256], a[32];
	uint8_t d[20];
	char *k = strcasestr(req, "\r\nSec-WebSocket-Key:");
	if (!k || strncmp(req, "GET /", 5))
		return -1;
	k += 20;
	while (*k == ' ')
		k++;
	int n = 0;
	while (n < 24 && k[n] > ' ')
		n++;
	n = snprintf(b, sizeof b, "%.*s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", n, k);
	SHA1((uint8_t *)b, (size_t)n, d);
	EVP_EncodeBlock((uint8_t *)a, d, sizeof(d));
	n = snprintf(b, sizeof b,
		     "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "
		     "Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		     a);
	char t = req[5];
	c->room = req[6] == '/' ? atoi(req + 7) : 0;
	if (c->room < 0 || c->room >= nroom)
		return -1;
	c->open = 1;
	c->sub = t == 's' || t == 'b';
	c->pub = t == 'p' || t == 'b';
	c->echo = t == 'e';
	if (c->sub) {
		room_t *r = &R[c->room];
		if (r->n == r->cap) {
			r->cap = r->cap ? r->cap * 2 : 16;
			r->fd = realloc(r->fd, sizeof(int) * (size_t)r->cap);
		}
		r->fd[r->n++] = fd;
	}
	put(fd, b, (size_t)n);
	return 0;
}

static void
readable(int fd)
{
	conn_t *c = &C[fd];
	size_t have = c->inlen;
	if (have)
		memcpy(rbuf, c->in, have);
	ssize_t k = recv(fd, rbuf + have, sizeof rbuf - 1 - have, MSG_DONTWAIT);
	if (k <= 0) {
		if (k < 0 && errno == EAGAIN)
			return;
		drop(fd);
		return;
	}
	size_t n = have + (size_t)k, o = 0;
	c->inlen = 0;
	if (!c->open) {
		rbuf[n] = 0;
		char *e = strstr(rbuf, "\r\n\r\n");
		if (e) {
			*e = 0;
			o = (size_t)(e + 4 - rbuf);
			if (upgrade(fd, rbuf)) {
				drop(fd);
				return;
			}
		}
	}
	while (c->open && n - o >= 6) {
		uint8_t *p = (uint8_t *)rbuf + o;
		size_t h = 2;
		uint64_t len = p[1] & 127;
		if (!(p[1] & 128)) {
			drop(fd);
			return;
		}
		if (len == 126) {
			len = (uint64_t)p[2] << 8 | p[3];
			h = 4;
		} else if (len == 127) {
			drop(fd);
			return;
		}
		if (n - o < h + 4 + len)
			break;
		uint8_t *m = p + h, *d = m + 4;
		for (uint64_t i = 0; i < len; i++)
			d[i] ^= m[i & 3];
		int op = p[0] & 15;
		o += h + 4 + len;
		if (op == 8) {
			char f[8];
			put(fd, f, frame(f, (char *)d, len < 2 ? 0 : 2, 8));
			drop(fd);
			return;
		}
		if (op == 9) {
			char f[160];
			put(fd, f, frame(f, (char *)d, len < 126 ? len : 0, 10));
			continue;
		}
		if (op > 2)
			continue;
		if (c->echo) {
			static char f[1 << 17];
			put(fd, f, frame(f, (char *)d, len, op));
		} else if (c->pub)
			publish(c->room, (char *)d, len, op);
	}
	if (o < n) {
		c->in = realloc(c->in, n - o);
		memcpy(c->in, rbuf + o, n - o);
		c->inlen = (uint32_t)(n - o);
	} else if (c->in) {
		free(c->in);
		c->in = 0;
	}
}

static void
stop(int s)
{
	(void)s;
	fprintf(stderr, "floor: %lu messages, %lu sends, %lu short\n", n_msg, n_send, n_short);
	_exit(0);
}

int
main(int argc, char **argv)
{
	int port = 9700;
	nroom = 20000;
	for (int i = 1; i + 1 < argc; i += 2) {
		if (!strcmp(argv[i], "--port"))
			port = atoi(argv[i + 1]);
		else if (!strcmp(argv[i], "--rooms"))
			nroom = atoi(argv[i + 1]);
		else if (!strcmp(argv[i], "--mode"))
			mode = !strcmp(argv[i + 1], "writev") ? WRITEV : SEND;
	}
	signal(SIGPIPE, SIG_IGN);
	signal(SIGTERM, stop);
	signal(SIGINT, stop);
	struct rlimit rl;
	getrlimit(RLIMIT_NOFILE, &rl);
	rl.rlim_cur = rl.rlim_max;
	setrlimit(RLIMIT_NOFILE, &rl);
	C = calloc(rl.rlim_max, sizeof *C);
	R = calloc((size_t)nroom, sizeof *R);
	dirty = calloc((size_t)nroom, sizeof *dirty);
	int l = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
	setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_port = htons((uint16_t)port),
				.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	if (bind(l, (struct sockaddr *)&a, sizeof a) || listen(l, 4096)) {
		perror("listen");
		return 1;
	}
	ep = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event e = {.events = EPOLLIN, .data.fd = l}, ev[512];
	epoll_ctl(ep, EPOLL_CTL_ADD, l, &e);
	for (;;) {
		int n = epoll_wait(ep, ev, 512, -1);
		for (int i = 0; i < n; i++) {
			int fd = ev[i].data.fd;
			if (fd == l) {
				for (int k = 0, f;
				     k < 64 && (f = accept4(l, 0, 0, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;
				     k++) {
					setsockopt(f, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
					memset(&C[f], 0, sizeof C[f]);
					struct epoll_event x = {.events = EPOLLIN, .data.fd = f};
					epoll_ctl(ep, EPOLL_CTL_ADD, f, &x);
				}
				continue;
			}
			if (ev[i].events & EPOLLOUT && C[fd].outlen) {
				conn_t *c = &C[fd];
				ssize_t k = send(fd, c->out, c->outlen, MSG_DONTWAIT | MSG_NOSIGNAL);
				if (k > 0) {
					memmove(c->out, c->out + k, c->outlen - (size_t)k);
					c->outlen -= (uint32_t)k;
				}
				if (!c->outlen) {
					free(c->out);
					c->out = 0;
					struct epoll_event x = {.events = EPOLLIN, .data.fd = fd};
					epoll_ctl(ep, EPOLL_CTL_MOD, fd, &x);
				}
			}
			if (ev[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
				readable(fd);
		}
		if (ndirty)
			end_of_turn();
	}
}

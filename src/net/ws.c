/*
 * Reading WebSocket frames (RFC 6455 section 5) as a server: masked ones, cut anywhere. Payload is never
 * kept, but for a control frame that comes in pieces.
 */
#include "net/ws.h"

#include <endian.h>
#include <stdlib.h>

#include "base/mem.h"
#include "net/utf8.h"

#define FIN		0x80
#define RSV		0x70
#define RSV1		0x40
#define OPCODE		0x0f
#define MASKED		0x80
#define LEN		0x7f
#define LEN_16		126	/* the length is in the next 2 bytes */
#define LEN_64		127	/* the length is in the next 8 bytes */
#define MASK_LEN	4
#define CONTROL_MAX	125

/* One register where the machine has such, else two. */
typedef uint64_t sixteen __attribute__((vector_size(16)));

static unsigned
read16(const void *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return be16toh(v);
}

static uint64_t
read64(const void *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return be64toh(v);
}

static uint32_t
read_mask(const void *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

bool
ws_code_is_legal(unsigned code)
{
	if (code >= 3000)
		return code <= 4999;
	return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014);
}

/* Does as many bytes as are whole blocks of 16; returns how many. */
static size_t
unmask_sixteens(char *p, size_t n, uint64_t twice)
{
	const sixteen mask = { twice, twice };
	sixteen	      block;
	size_t	      i;

	for (i = 0; i + sizeof(block) <= n; i += sizeof(block)) {
		memcpy(&block, p + i, sizeof(block));
		block ^= mask;
		memcpy(p + i, &block, sizeof(block));
	}
	return i;
}

uint32_t
ws_unmask(char *p, size_t n, uint32_t mask)
{
	uint64_t twice = htole64((uint64_t)mask << 32 | mask), eight;
	unsigned bits = n % MASK_LEN * 8;
	size_t	 i = unmask_sixteens(p, n, twice);

	if (i + sizeof(eight) <= n) {
		memcpy(&eight, p + i, sizeof(eight));
		eight ^= twice;
		memcpy(p + i, &eight, sizeof(eight));
		i += sizeof(eight);
	}
	for (; i < n; i++)
		p[i] ^= (char)(mask >> i % MASK_LEN * 8);
	return bits == 0 ? mask : mask >> bits | mask << (32 - bits);
}

static bool
ws_is_control(unsigned opcode)
{
	return opcode >= WS_CLOSE;
}

/*
 * What most messages are: one frame, short, all there, not compressed. Returns the bytes consumed; 0 = it
 * is something else; or minus a close code.
 */
static ssize_t
ws_read_whole(const struct ws_limits *limits, char *in, size_t n, struct ws_event *ev)
{
	size_t head = 2 + MASK_LEN, len;
	bool   text;

	if (n < head || ((uint8_t)in[1] & MASKED) == 0)
		return 0;
	text = (uint8_t)in[0] == (FIN | WS_TEXT);
	if (!text && (uint8_t)in[0] != (FIN | WS_BINARY))
		return 0;
	len = (uint8_t)in[1] & LEN;
	if (len == LEN_16) {
		head += sizeof(uint16_t);
		len = read16(in + 2);
		if (len < LEN_16)
			return 0;
	}
	if (len == LEN_64 || head + len > n || len > limits->max_message)
		return 0;
	ws_unmask(in + head, len, read_mask(in + head - MASK_LEN));
	if (text && utf8_feed(UTF8_OK, in + head, len) != UTF8_OK)
		return -WS_BAD_DATA;
	/* Every field is named: the compiler would clear the others with a slow string instruction. */
	*ev = (struct ws_event){
		.kind = WS_EV_DATA, .data = slice(in + head, len), .first = true, .last = true,
		.binary = !text, .compressed = false, .code = 0,
	};
	return (ssize_t)(head + len);
}

/* Judges the first two bytes of a header: 0 or minus a close code. */
static int
ws_check_start(const struct ws_parser *p)
{
	unsigned opcode = p->head[0] & OPCODE, rsv = p->head[0] & RSV, len = p->head[1] & LEN;
	bool	 begins = opcode == WS_TEXT || opcode == WS_BINARY;

	if ((p->head[1] & MASKED) == 0)
		return -WS_PROTOCOL;
	if (rsv != 0 && !(rsv == RSV1 && p->deflate && begins))
		return -WS_PROTOCOL;
	if (ws_is_control(opcode))
		return opcode <= WS_PONG && (p->head[0] & FIN) && len <= CONTROL_MAX ? 0 : -WS_PROTOCOL;
	if (begins)
		return p->message == 0 ? 0 : -WS_PROTOCOL;
	return opcode == WS_CONT && p->message != 0 ? 0 : -WS_PROTOCOL;
}

/*
 * The payload's length out of a complete header; false if it could have been written shorter. One of 2^63 and
 * more is too big, as others are: 1009 says more than the 1002 that RFC 6455 section 5.2 would allow, too.
 */
static bool
ws_read_len(const struct ws_parser *p, uint64_t *len)
{
	*len = p->head[1] & LEN;
	if (*len == LEN_16) {
		*len = read16(p->head + 2);
		return *len >= LEN_16;
	}
	if (*len == LEN_64) {
		*len = read64(p->head + 2);
		return *len > UINT16_MAX;
	}
	return true;
}

/* A data frame's header is complete: its message begins or goes on. */
static int
ws_begin_data(struct ws_parser *p, const struct ws_limits *limits)
{
	if (p->opcode != WS_CONT) {
		p->message = p->opcode;
		p->compressed = p->head[0] & RSV1;
		p->utf8 = UTF8_OK;
		p->fragments = 0;
		p->size = 0;
	}
	if (p->size > limits->max_message || p->left > limits->max_message - p->size)
		return -WS_TOO_BIG;
	p->size += p->left;
	p->fragments++;
	return p->fragments == 1 || p->fragments <= limits->max_fragments ? 0 : -WS_POLICY;
}

static int
ws_begin_frame(struct ws_parser *p, const struct ws_limits *limits)
{
	if (!ws_read_len(p, &p->left))
		return -WS_PROTOCOL;
	p->opcode = p->head[0] & OPCODE;
	p->fin = p->head[0] & FIN;
	p->mask = read_mask(p->head + p->n_head - MASK_LEN);
	p->n_head = 0;
	p->n_control = 0;
	p->in_frame = true;
	return ws_is_control(p->opcode) ? 0 : ws_begin_data(p, limits);
}

/* Header bytes that are still missing, as far as can be known. */
static size_t
ws_head_wants(const struct ws_parser *p)
{
	unsigned len = p->head[1] & LEN;

	if (p->n_head < 2)
		return 2u - p->n_head;
	return 2u + (len == LEN_16 ? 2 : len == LEN_64 ? 8 : 0) + MASK_LEN - p->n_head;
}

/* Returns the bytes consumed, with p->in_frame once the header is complete; or minus a close code. */
static ssize_t
ws_read_head(struct ws_parser *p, const struct ws_limits *limits, const char *in, size_t n)
{
	size_t used = 0, take, wants;
	int    r = 0;

	while ((wants = ws_head_wants(p)) > 0 && used < n) {
		take = wants < n - used ? wants : n - used;
		memcpy(p->head + p->n_head, in + used, take);
		p->n_head = (uint8_t)(p->n_head + take);
		used += take;
		if (p->n_head == 2)
			r = ws_check_start(p);
		if (r < 0)
			return r;
	}
	if (wants == 0)
		r = ws_begin_frame(p, limits);
	return r < 0 ? r : (ssize_t)used;
}

/* Checks as much of a text message as is there; 0 or minus a close code. */
static int
ws_check_text(struct ws_parser *p, struct slice text, bool last)
{
	p->utf8 = utf8_feed(p->utf8, text.p, text.n);
	return p->utf8 == UTF8_BAD || (last && p->utf8 != UTF8_OK) ? -WS_BAD_DATA : 0;
}

static ssize_t
ws_read_data(struct ws_parser *p, char *in, size_t n, struct ws_event *ev)
{
	bool   first = p->fragments == 1 && p->left == p->size;
	size_t take = n < p->left ? n : (size_t)p->left;

	if (take == 0 && p->left > 0)
		return 0;
	p->mask = ws_unmask(in, take, p->mask);
	p->left -= take;
	p->in_frame = p->left > 0;
	*ev = (struct ws_event){
		.kind = WS_EV_DATA, .data = slice(in, take), .first = first, .last = p->fin && !p->in_frame,
		.binary = p->message == WS_BINARY, .compressed = p->compressed, .code = 0,
	};
	if (!ev->binary && !ev->compressed && ws_check_text(p, ev->data, ev->last) < 0)
		return -WS_BAD_DATA;
	if (ev->last)
		p->message = 0;
	return (ssize_t)take;
}

static int
ws_read_close(struct slice payload, struct ws_event *ev)
{
	ev->kind = WS_EV_CLOSE;
	ev->code = WS_NO_STATUS;
	if (payload.n == 0)
		return 0;
	if (payload.n < 2)
		return -WS_PROTOCOL;
	ev->code = read16(payload.p);
	ev->data = slice_from(payload, 2);
	if (!ws_code_is_legal(ev->code))
		return -WS_PROTOCOL;
	return utf8_valid(ev->data) ? 0 : -WS_BAD_DATA;
}

/* A control frame is complete: 0 with its event, or minus a close code. */
static int
ws_end_control(struct ws_parser *p, struct slice payload, struct ws_event *ev)
{
	p->in_frame = false;
	*ev = (struct ws_event){ .kind = p->opcode == WS_PING ? WS_EV_PING : WS_EV_PONG, .data = payload };
	return p->opcode == WS_CLOSE ? ws_read_close(payload, ev) : 0;
}

static ssize_t
ws_read_control(struct ws_parser *p, char *in, size_t n, struct ws_event *ev)
{
	size_t take = n < p->left ? n : (size_t)p->left;
	int    r = 0;

	p->mask = ws_unmask(in, take, p->mask);
	p->left -= take;
	if (p->n_control == 0 && p->left == 0)
		r = ws_end_control(p, slice(in, take), ev);
	else if (take > 0) {
		if (p->control == NULL)
			p->control = xmalloc(CONTROL_MAX);
		memcpy(p->control + p->n_control, in, take);
		p->n_control = (uint8_t)(p->n_control + take);
		if (p->left == 0)
			r = ws_end_control(p, slice(p->control, p->n_control), ev);
	}
	return r < 0 ? r : (ssize_t)take;
}

ssize_t
ws_parse(struct ws_parser *p, const struct ws_limits *limits, char *in, size_t n, struct ws_event *ev)
{
	ssize_t used = 0, r;

	if (!p->in_frame && p->n_head == 0 && p->message == 0 && p->control == NULL) {
		r = ws_read_whole(limits, in, n, ev);
		if (r != 0)
			return r;
	}
	ev->kind = WS_EV_NONE;
	if (n == 0)
		return 0;
	if (!p->in_frame) {
		ws_parser_done(p);
		used = ws_read_head(p, limits, in, n);
		if (used < 0 || !p->in_frame)
			return used;
	}
	if (ws_is_control(p->opcode))
		r = ws_read_control(p, in + used, n - (size_t)used, ev);
	else
		r = ws_read_data(p, in + used, n - (size_t)used, ev);
	return r < 0 ? r : used + r;
}

void
ws_parser_done(struct ws_parser *p)
{
	free(p->control);
	p->control = NULL;
}

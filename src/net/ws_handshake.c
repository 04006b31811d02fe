/*
 * The WebSocket's opening handshake as a server (RFC 6455 section 4.2), and what permessage-deflate is
 * agreed on in it (RFC 7692 section 7.1).
 */
#include <assert.h>
#include <openssl/evp.h>

#include "base/b64.h"
#include "net/ws.h"

#define GUID		"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#define SHA1_LEN	20
#define NONCE_LEN	16
#define MAX_BITS	15

_Static_assert(B64_LEN(SHA1_LEN) == WS_ACCEPT_LEN, "the length of Sec-WebSocket-Accept");

/* The digest is looked up once: OpenSSL 3 takes longer for that than for a short text. */
static bool
sha1(struct slice a, struct slice b, uint8_t *out)
{
	static EVP_MD	  *md;
	static EVP_MD_CTX *ctx;

	if (ctx == NULL) {
		md = EVP_MD_fetch(NULL, "SHA1", NULL);
		ctx = EVP_MD_CTX_new();
	}
	return EVP_DigestInit_ex2(ctx, md, NULL) && EVP_DigestUpdate(ctx, a.p, a.n) &&
	    EVP_DigestUpdate(ctx, b.p, b.n) && EVP_DigestFinal_ex(ctx, out, NULL);
}

void
ws_accept_key(struct slice key, char *out)
{
	uint8_t digest[SHA1_LEN];
	bool	ok = sha1(key, SLICE(GUID), digest);

	assert(ok);
	out[b64_encode(digest, sizeof(digest), out)] = '\0';
}

static bool
is_nonce(struct slice key)
{
	uint8_t nonce[B64_LEN(NONCE_LEN)];

	return key.n == B64_LEN(NONCE_LEN) && b64_decode(B64_STRICT, key, nonce) == NONCE_LEN;
}

int
ws_check_upgrade(const struct http_request *req, struct slice *key)
{
	struct slice version;
	bool	     twice;

	if (!slice_is(req->method, "GET"))
		return -405;
	if (req->minor == 0 || req->has_body)
		return -400;
	if (!http_has_token(req, "Upgrade", "websocket") || !http_has_token(req, "Connection", "upgrade"))
		return -400;
	version = http_field(req, "Sec-WebSocket-Version", &twice);
	if (twice || !slice_is(version, "13"))
		return -426;
	*key = http_field(req, "Sec-WebSocket-Key", &twice);
	return twice || !is_nonce(*key) ? -400 : 0;
}

/* A parameter of an offer. */
struct param {
	const char	*name;
	uint8_t		 least;		/* the smallest window that may be given; 0 = it takes no value */
	uint8_t		 otherwise;	/* what it means without a value; 0 = it needs one */
};

enum { SERVER_NO_CONTEXT, CLIENT_NO_CONTEXT, SERVER_BITS, CLIENT_BITS, N_PARAMS };

static const struct param params[N_PARAMS] = {
	[SERVER_NO_CONTEXT] = { .name = "server_no_context_takeover", .otherwise = 1 },
	[CLIENT_NO_CONTEXT] = { .name = "client_no_context_takeover", .otherwise = 1 },
	[SERVER_BITS] = { .name = "server_max_window_bits", .least = 9 },
	[CLIENT_BITS] = { .name = "client_max_window_bits", .least = 8, .otherwise = MAX_BITS },
};

/* One offer as far as it is read: a parameter's value, 0 = it is not there. */
struct offer {
	uint8_t	value[N_PARAMS];
};

/*
 * Takes what stands before the next `separator`, or all; false once nothing is left. *rest has p == NULL
 * then.
 */
static bool
take_piece(struct slice *rest, char separator, struct slice *piece)
{
	const char *end;

	if (rest->p == NULL)
		return false;
	end = memchr(rest->p, separator, rest->n);
	*piece = http_trim(slice(rest->p, end != NULL ? (size_t)(end - rest->p) : rest->n));
	*rest = end != NULL ? slice_from(*rest, (size_t)(end - rest->p) + 1) : slice(NULL, 0);
	return true;
}

static struct slice
unquote(struct slice s)
{
	if (s.n >= 2 && s.p[0] == '"' && s.p[s.n - 1] == '"')
		return slice(s.p + 1, s.n - 2);
	return s;
}

/* The window of "8" to "15", without leading zeros; 0 for anything else. */
static uint8_t
window_bits(struct slice s)
{
	if (s.n == 1 && (s.p[0] == '8' || s.p[0] == '9'))
		return (uint8_t)(s.p[0] - '0');
	if (s.n == 2 && s.p[0] == '1' && s.p[1] >= '0' && s.p[1] <= '5')
		return (uint8_t)(10 + s.p[1] - '0');
	return 0;
}

/* What a parameter comes to, 0 if it cannot stand so. `value.p` is NULL if there was no "=". */
static uint8_t
param_value(const struct param *p, struct slice value)
{
	uint8_t bits;

	if (value.p == NULL)
		return p->otherwise;
	bits = window_bits(unquote(http_trim(value)));
	return p->least > 0 && bits >= p->least ? bits : 0;
}

/* False if the offer cannot be accepted with that parameter. */
static bool
offer_add(struct offer *o, struct slice text)
{
	struct slice name, value = text;

	take_piece(&value, '=', &name);
	for (unsigned i = 0; i < N_PARAMS; i++) {
		if (!slice_is(name, params[i].name))
			continue;
		if (o->value[i] != 0)
			return false;
		o->value[i] = param_value(&params[i], value);
		return o->value[i] != 0;
	}
	return false;
}

/* A separator in a quoted string cuts a value in two that was of no use anyway. */
static bool
offer_read(struct offer *o, struct slice text)
{
	struct slice piece;

	*o = (struct offer){ 0 };
	if (!take_piece(&text, ';', &piece) || !slice_is(piece, "permessage-deflate"))
		return false;
	while (take_piece(&text, ';', &piece))
		if (!offer_add(o, piece))
			return false;
	return true;
}

static struct ws_deflate
offer_accept(const struct offer *o, struct buf *answer)
{
	uint8_t server = o->value[SERVER_BITS], client = o->value[CLIENT_BITS];

	buf_add_str(answer, "permessage-deflate; server_no_context_takeover; client_no_context_takeover");
	if (server != 0)
		buf_addf(answer, "; server_max_window_bits=%u", server);
	return (struct ws_deflate){
		.server_bits = server != 0 ? server : MAX_BITS,
		.client_bits = client != 0 ? client : MAX_BITS,
	};
}

struct ws_deflate
ws_negotiate(const struct http_request *req, struct buf *answer)
{
	struct offer offer;
	struct slice text;
	size_t	     at = 0;

	while (http_next_token(req, "Sec-WebSocket-Extensions", &at, &text))
		if (offer_read(&offer, text))
			return offer_accept(&offer, answer);
	return (struct ws_deflate){ 0 };
}

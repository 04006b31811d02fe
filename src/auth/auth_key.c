/*
 * Reads keys. Whatever has a PEM block in it is a public key, and fit for signatures alone; anything else is
 * a secret, unless it looks like a public key in another coat: a public text taken for a secret would let
 * anyone sign.
 */
#include "auth/auth_key.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/secret.h"

#define SECRET_MIN	32	/* octets: the output of HMAC-SHA-256 (RFC 7518, 3.2) */
#define RSA_MIN_BITS	2048	/* RFC 7518, 3.3 */

/* The material of one key on its way in; wiped when done. */
struct raw_key {
	struct secret	 secret;
	bool		 is_file;
};

#define ALGS(X) X(HS256) X(HS384) X(HS512) X(RS256) X(RS384) X(RS512) X(ES256) X(ES384) X(ES512)

static const struct {
	const char	*name;
	jwt_alg_t	 alg;
	const char	*mismatch;
} algs[] = {
#define X(name) { #name, JWT_ALG_##name, "algorithm " #name " does not match the key" },
	ALGS(X)
#undef X
};

#define N_ALGS	(sizeof(algs) / sizeof(algs[0]))

jwt_alg_t
auth_alg(struct slice name)
{
	for (size_t i = 0; i < N_ALGS; i++)
		if (slice_is(name, algs[i].name))
			return algs[i].alg;
	return JWT_ALG_INVAL;
}

const char *
auth_alg_mismatch(jwt_alg_t alg)
{
	for (size_t i = 0; i < N_ALGS; i++)
		if (algs[i].alg == alg)
			return algs[i].mismatch;
	return "unknown algorithm";
}

static void
raw_key_done(struct raw_key *raw)
{
	secret_done(&raw->secret);
}

static const char *
read_file(const char *path, struct raw_key *raw)
{
	const char *why = secret_read(&raw->secret, path);

	raw->is_file = true;
	return why;
}

/* Returns NULL or the reason. */
static const char *
read_raw(const struct auth_key_options *o, struct raw_key *raw)
{
	bool has_file = o->file != NULL && *o->file != '\0';

	if (o->kid != NULL && strlen(o->kid) > AUTH_MAX_KID)
		return "kid longer than 128 bytes";
	if (has_file == (o->secret != NULL))
		return "needs a file or a secret, and not both";
	if (has_file)
		return read_file(o->file, raw);
	raw->secret.n = strlen(o->secret);
	raw->secret.p = xstrdup(o->secret);
	return NULL;
}

static bool
contains(const struct raw_key *raw, const char *s)
{
	return memmem(raw->secret.p, raw->secret.n, s, strlen(s)) != NULL;
}

/* The public key of one PEM block, or NULL. */
static EVP_PKEY *
public_key_of_block(const char *name, const unsigned char *der, long n)
{
	EVP_PKEY *pkey;
	X509	 *cert;

	if (strcmp(name, PEM_STRING_PUBLIC) == 0)
		return d2i_PUBKEY(NULL, &der, n);
	if (strcmp(name, PEM_STRING_RSA_PUBLIC) == 0)
		return d2i_PublicKey(EVP_PKEY_RSA, NULL, &der, n);
	if (strcmp(name, PEM_STRING_X509) != 0 && strcmp(name, PEM_STRING_X509_OLD) != 0)
		return NULL;
	cert = d2i_X509(NULL, &der, n);
	pkey = cert != NULL ? X509_get_pubkey(cert) : NULL;
	X509_free(cert);
	return pkey;
}

/* The public key of the first PEM block: of a chain of certificates, the leaf's. */
static EVP_PKEY *
read_public_key(const struct raw_key *raw)
{
	BIO	      *bio = BIO_new_mem_buf(raw->secret.p, (int)raw->secret.n);
	unsigned char *der = NULL;
	char	      *name = NULL, *header = NULL;
	EVP_PKEY      *pkey = NULL;
	long	       n;

	if (bio != NULL && PEM_read_bio(bio, &name, &header, &der, &n) == 1)
		pkey = public_key_of_block(name, der, n);
	OPENSSL_free(name);
	OPENSSL_free(header);
	OPENSSL_free(der);
	BIO_free(bio);
	return pkey;
}

/* The PEM text that libjwt will read: of our own writing, so that there is one reading of it. */
static int
write_public_key(struct auth_key *key, EVP_PKEY *pkey)
{
	BIO	*bio = BIO_new(BIO_s_mem());
	char	*p;
	long	 n;
	int	 r = -EINVAL;

	if (bio != NULL && PEM_write_bio_PUBKEY(bio, pkey) == 1 && (n = BIO_get_mem_data(bio, &p)) > 0) {
		key->bytes = slice(xstrndup(p, (size_t)n), (size_t)n);
		r = 0;
	}
	BIO_free(bio);
	return r;
}

/* The algorithm of an elliptic curve, JWT_ALG_INVAL for a curve that JWT does not know. */
static jwt_alg_t
alg_of_curve(EVP_PKEY *pkey)
{
	static const struct { const char *curve; jwt_alg_t alg; } known[] = {
		{ SN_X9_62_prime256v1, JWT_ALG_ES256 },
		{ SN_secp384r1, JWT_ALG_ES384 },
		{ SN_secp521r1, JWT_ALG_ES512 },
	};
	char   name[64];
	size_t n;

	if (EVP_PKEY_get_group_name(pkey, name, sizeof(name), &n) != 1)
		return JWT_ALG_INVAL;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(name, known[i].curve) == 0)
			return known[i].alg;
	return JWT_ALG_INVAL;
}

static bool
alg_is_rsa(jwt_alg_t alg)
{
	return alg == JWT_ALG_RS256 || alg == JWT_ALG_RS384 || alg == JWT_ALG_RS512;
}

static bool
alg_is_hmac(jwt_alg_t alg)
{
	return alg == JWT_ALG_HS256 || alg == JWT_ALG_HS384 || alg == JWT_ALG_HS512;
}

/* Settles key->alg: `wanted`, or JWT_ALG_NONE for the usual one. Returns NULL or the reason. */
static const char *
choose_public_alg(struct auth_key *key, EVP_PKEY *pkey, jwt_alg_t wanted)
{
	int type = EVP_PKEY_get_base_id(pkey);

	if (type == EVP_PKEY_RSA) {
		if (EVP_PKEY_get_bits(pkey) < RSA_MIN_BITS)
			return "RSA key of less than 2048 bits";
		key->alg = wanted == JWT_ALG_NONE ? JWT_ALG_RS256 : wanted;
		return alg_is_rsa(key->alg) ? NULL : "an RSA key is good for RS256, RS384 and RS512 alone";
	}
	if (type != EVP_PKEY_EC)
		return "neither an RSA nor an EC key";
	key->alg = alg_of_curve(pkey);
	if (key->alg == JWT_ALG_INVAL)
		return "EC key on a curve other than P-256, P-384 and P-521";
	if (wanted != JWT_ALG_NONE && wanted != key->alg)
		return "the algorithm does not fit the EC key's curve";
	return NULL;
}

static const char *
take_public_key(struct auth_key *key, const struct raw_key *raw, jwt_alg_t wanted)
{
	EVP_PKEY   *pkey;
	const char *why;

	if (contains(raw, "PRIVATE KEY-----"))
		return "is a private key; the public key is wanted (openssl pkey -pubout)";
	pkey = read_public_key(raw);
	if (pkey == NULL)
		return "no PEM public key or certificate in it";
	why = choose_public_alg(key, pkey, wanted);
	if (why == NULL && write_public_key(key, pkey) != 0)
		why = "the public key cannot be written";
	EVP_PKEY_free(pkey);
	return why;
}

static bool
is_der_key(const struct raw_key *raw)
{
	const unsigned char *der = (const unsigned char *)raw->secret.p;
	EVP_PKEY	    *pkey = d2i_PUBKEY(NULL, &der, (long)raw->secret.n);
	X509		    *cert;
	bool		     is;

	der = (const unsigned char *)raw->secret.p;
	cert = d2i_X509(NULL, &der, (long)raw->secret.n);
	is = pkey != NULL || cert != NULL;
	EVP_PKEY_free(pkey);
	X509_free(cert);
	return is;
}

static const char *
take_secret(struct auth_key *key, const struct raw_key *raw, jwt_alg_t wanted, bool weak)
{
	size_t n = raw->is_file ? secret_line_len(&raw->secret) : raw->secret.n;

	if (is_der_key(raw))
		return "is a key in DER; PEM is wanted";
	if (n > 0 && raw->secret.p[0] == '{')
		return "is JSON; a PEM key or the octets of a secret are wanted";
	if (n == 0)
		return "is empty";
	if (n < SECRET_MIN && !weak)
		return "secret shorter than 32 octets";
	key->alg = wanted == JWT_ALG_NONE ? JWT_ALG_HS256 : wanted;
	if (!alg_is_hmac(key->alg))
		return "a secret is good for HS256, HS384 and HS512 alone";
	key->bytes = slice(xstrndup(raw->secret.p, n), n);
	return NULL;
}

/* The reason as text of its own, or NULL. */
static char *
take_key(struct auth_key *key, const struct auth_key_options *o, const struct raw_key *raw, bool weak)
{
	jwt_alg_t   wanted = JWT_ALG_NONE;
	const char *why;

	if (o->alg != NULL && *o->alg != '\0')
		wanted = auth_alg(slice_str(o->alg));
	if (wanted == JWT_ALG_INVAL)
		return xasprintf("unknown algorithm \"%s\"", o->alg);
	if (contains(raw, "-----BEGIN")) {
		why = take_public_key(key, raw, wanted);
		return why != NULL ? xstrdup(why) : NULL;
	}
	if (raw->is_file && (raw->secret.mode & 0077) != 0)
		return xasprintf("readable by others (mode %04o); chmod 600 it", (unsigned)raw->secret.mode);
	why = take_secret(key, raw, wanted, weak);
	return why != NULL ? xstrdup(why) : NULL;
}

static char *
key_problem(const char *kid, const char *where, const char *reason)
{
	if (*kid == '\0')
		return xasprintf("token key: %s: %s", where, reason);
	return xasprintf("token key \"%s\": %s: %s", kid, where, reason);
}

int
auth_key_read(struct auth_key *key, const struct auth_key_options *o, bool weak_secrets, char **why)
{
	struct raw_key raw __attribute__((cleanup(raw_key_done))) = { 0 };
	char	       *reason autofree = NULL;
	const char     *unread;

	*key = (struct auth_key){ .kid = xstrdup(o->kid != NULL ? o->kid : "") };
	unread = read_raw(o, &raw);
	reason = unread != NULL ? xstrdup(unread) : take_key(key, o, &raw, weak_secrets);
	/* TLS on this thread must not find what we tried in vain. */
	ERR_clear_error();
	if (reason == NULL)
		return 0;
	*why = key_problem(key->kid, o->file != NULL ? o->file : "the secret", reason);
	return -EINVAL;
}

void
auth_key_done(struct auth_key *key)
{
	free(key->kid);
	secret_wipe((char *)key->bytes.p, key->bytes.n);
	*key = (struct auth_key){ 0 };
}

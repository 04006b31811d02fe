/*
 * Calls with libcurl.
 */
#include "ctl/caller.h"

#include <curl/curl.h>
#include <stdlib.h>

#include "base/mem.h"

#define CONNECT_MS	5000L
#define ANSWER_MS	30000L
#define MAX_BODY	(256 * 1024 * 1024)	/* bytes: more is no answer of ours */
#define MAX_DEPTH	128	/* of an answer: what a client said, 64 deep, stands within ours */

static void
curl_autofree(CURL **curl)
{
	curl_easy_cleanup(*curl);
}

static void
slist_autofree(struct curl_slist **list)
{
	curl_slist_free_all(*list);
}

static size_t
on_bytes(char *p, size_t size, size_t n, void *arg)
{
	struct buf *body = arg;

	if (body->n + size * n > MAX_BODY)
		return 0;
	buf_add(body, p, size * n);
	return size * n;
}

/* A unix socket has no host: any will do. */
static char *
full_url(const struct caller *c, CURL *curl, const char *path)
{
	size_t n = strlen(c->url);

	if (strncmp(c->url, "unix:", 5) == 0) {
		curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, c->url + 5);
		return xasprintf("http://localhost%s", path);
	}
	while (n > 0 && c->url[n - 1] == '/')
		n--;
	return xasprintf("%.*s%s", (int)n, c->url, path);
}

static struct curl_slist *
header_lines(const struct caller *c, const char *body)
{
	autofree char *authorization = xasprintf("Authorization: Bearer %s", c->key);
	struct curl_slist *list = curl_slist_append(NULL, authorization);

	list = curl_slist_append(list, "Expect:");
	return body != NULL ? curl_slist_append(list, "Content-Type: application/json") : list;
}

/* No proxy stands between us and our own server, and it sends nobody elsewhere. */
static void
set_options(CURL *curl, const char *url, const char *method, const char *body, struct curl_slist *headers,
    struct answer *a)
{
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, ANSWER_MS);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_bytes);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, &a->body);
	if (body != NULL) {
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(body));
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
	}
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
}

static void
answer_read(struct answer *a)
{
	struct json_tokener *tok = json_tokener_new_ex(MAX_DEPTH);

	buf_add_char(&a->body, '\0');
	a->body.n--;
	if (tok == NULL)
		return;
	a->json = json_tokener_parse_ex(tok, a->body.p, (int)a->body.n + 1);
	json_tokener_free(tok);
}

int
caller_call(const struct caller *c, const char *method, const char *path, const char *body, struct answer *a,
    char **why)
{
	CURL		  *curl __attribute__((cleanup(curl_autofree))) = curl_easy_init();
	struct curl_slist *headers __attribute__((cleanup(slist_autofree))) = header_lines(c, body);
	autofree char	  *url = NULL;
	char		   fault[CURL_ERROR_SIZE] = "";
	CURLcode	   r;

	*a = (struct answer){ 0 };
	if (curl == NULL) {
		*why = xstrdup("libcurl does not work here");
		return -1;
	}
	url = full_url(c, curl, path);
	set_options(curl, url, method, body, headers, a);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, fault);
	r = curl_easy_perform(curl);
	if (r != CURLE_OK) {
		/* Of a unix socket the long text tells a port and a host that nobody asked for. */
		*why = xasprintf("%s: %s", c->url,
		    fault[0] != '\0' && strncmp(c->url, "unix:", 5) != 0 ? fault : curl_easy_strerror(r));
		return -1;
	}
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &a->status);
	answer_read(a);
	return 0;
}

void
answer_done(struct answer *a)
{
	buf_done(&a->body);
	json_object_put(a->json);
	*a = (struct answer){ 0 };
}

const char *
answer_text(struct json_object *object, const char *name)
{
	struct json_object *member;

	if (!json_object_object_get_ex(object, name, &member) || member == NULL)
		return NULL;
	if (json_object_is_type(member, json_type_string))
		return json_object_get_string(member);
	return json_object_to_json_string_ext(member, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
}

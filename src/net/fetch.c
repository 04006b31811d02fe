/*
 * libcurl's multi interface: its descriptors are events of our loop, its timeout a timer of the wheel; deadlines are our own.
 */
#include "net/fetch.h"

#include <curl/curl.h>
#include <event2/event_struct.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"

struct fetcher {
	struct loop	*loop;
	CURLM		*multi;
	struct list	 fetches;	/* under way */
	struct list	 sockets;	/* struct fetch_socket */
	struct timer	 timer;		/* what libcurl wants to be called at */
	struct loop_task soon;		/* it wants that now */
	bool		 driving;	/* libcurl is at work */
};

/* A descriptor that libcurl waits for. */
struct fetch_socket {
	struct list	 in_fetcher;
	struct fetcher	*fetcher;
	struct event	 event;
};

struct fetch {
	struct list	   in_fetcher;
	struct fetcher	  *fetcher;
	CURL		  *curl;	/* NULL: it could not be had */
	struct curl_slist *headers;
	struct buf	   body;	/* of the answer */
	size_t		   max_body;
	size_t		   head;	/* bytes of the answer's head so far */
	const char	  *fault;	/* what libcurl would not know */
	char		   told[CURL_ERROR_SIZE];	/* what it knows */
	struct timer	   deadline;
	fetch_fn	  *fn;
	void		  *arg;
};

/* Ends. */

static void
fetch_free(struct fetch *f)
{
	timer_stop(&f->deadline);
	list_remove(&f->in_fetcher);
	if (f->curl != NULL)
		curl_multi_remove_handle(f->fetcher->multi, f->curl);
	curl_easy_cleanup(f->curl);
	curl_slist_free_all(f->headers);
	buf_done(&f->body);
	free(f);
}

static void
fetch_end(struct fetch *f, CURLcode result)
{
	struct fetch_answer answer = { .fault = f->fault, .body = buf_slice(&f->body) };
	long		    status = 0;

	if (answer.fault == NULL && result != CURLE_OK)
		answer.fault = f->told[0] != '\0' ? f->told : curl_easy_strerror(result);
	if (answer.fault == NULL)
		curl_easy_getinfo(f->curl, CURLINFO_RESPONSE_CODE, &status);
	answer.status = (unsigned)status;
	timer_stop(&f->deadline);
	f->fn(f->arg, &answer);
	fetch_free(f);
}

static void
fetch_on_deadline(struct timer *t, uint64_t now)
{
	struct fetch *f = container_of(t, struct fetch, deadline);

	if (f->fault == NULL)
		f->fault = "no answer in time";
	fetch_end(f, CURLE_OPERATION_TIMEDOUT);
}

void
fetch_cancel(struct fetch *f)
{
	fetch_free(f);
}

/* Lets libcurl work, and tells whoever it has an answer for. Callbacks of libcurl itself tell nobody anything. */
static void
fetcher_drive(struct fetcher *f, curl_socket_t fd, int what)
{
	CURLMsg *m;
	int	 n;

	f->driving = true;
	curl_multi_socket_action(f->multi, fd, what, &n);
	f->driving = false;
	while ((m = curl_multi_info_read(f->multi, &n)) != NULL) {
		const CURLcode result = m->data.result;
		char	      *fetch = NULL;

		if (m->msg == CURLMSG_DONE && curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &fetch) == CURLE_OK)
			fetch_end((struct fetch *)(void *)fetch, result);
	}
}

/* Descriptors. */

static void
socket_on_event(evutil_socket_t fd, short what, void *arg)
{
	const struct fetch_socket *s = arg;

	loop_awake(s->fetcher->loop);
	fetcher_drive(s->fetcher, fd, ((what & EV_READ) != 0 ? CURL_CSELECT_IN : 0) | ((what & EV_WRITE) != 0 ? CURL_CSELECT_OUT : 0));
}

static void
socket_free(struct fetch_socket *s)
{
	if (s == NULL)
		return;
	event_del(&s->event);
	list_remove(&s->in_fetcher);
	free(s);
}

static struct fetch_socket *
socket_new(struct fetcher *f, curl_socket_t fd)
{
	struct fetch_socket *s = xmalloc(sizeof(*s));

	*s = (struct fetch_socket){ .fetcher = f };
	list_append(&f->sockets, &s->in_fetcher);
	event_assign(&s->event, f->loop->base, fd, EV_PERSIST, socket_on_event, s);
	curl_multi_assign(f->multi, fd, s);
	return s;
}

/* An event that cannot be had leaves its call to the deadline. */
static int
fetcher_on_socket(CURL *curl, curl_socket_t fd, int what, void *arg, void *socket)
{
	struct fetcher	    *f = arg;
	struct fetch_socket *s = socket;
	short		     events = EV_PERSIST;

	if (what == CURL_POLL_REMOVE) {
		socket_free(s);
		curl_multi_assign(f->multi, fd, NULL);
		return 0;
	}
	if (s == NULL)
		s = socket_new(f, fd);
	events = (short)(events | (what != CURL_POLL_OUT ? EV_READ : 0) | (what != CURL_POLL_IN ? EV_WRITE : 0));
	event_del(&s->event);
	event_assign(&s->event, f->loop->base, fd, events, socket_on_event, s);
	event_add(&s->event, NULL);
	return 0;
}

/* Time. */

static int
fetcher_on_wish(CURLM *multi, long wait_ms, void *arg)
{
	struct fetcher *f = arg;

	timer_stop(&f->timer);
	loop_forget_task(&f->soon);
	if (wait_ms == 0 && !f->driving)
		loop_at_end(f->loop, &f->soon);
	else if (wait_ms >= 0)
		loop_timer(f->loop, &f->timer, f->loop->now + (uint64_t)wait_ms);
	return 0;
}

/* By its own clock it may be too early; then it does nothing, and does not ask again. */
static void
fetcher_on_time(struct fetcher *f)
{
	long wait_ms = -1;

	fetcher_drive(f, CURL_SOCKET_TIMEOUT, 0);
	if (timer_is_set(&f->timer) || !list_empty(&f->soon.in_tasks))
		return;
	if (curl_multi_timeout(f->multi, &wait_ms) == CURLM_OK && wait_ms >= 0)
		loop_timer(f->loop, &f->timer, f->loop->now + (uint64_t)wait_ms + 1);
}

static void
fetcher_on_timer(struct timer *t, uint64_t now)
{
	fetcher_on_time(container_of(t, struct fetcher, timer));
}

static void
fetcher_on_soon(struct loop_task *t)
{
	fetcher_on_time(container_of(t, struct fetcher, soon));
}

/* Beginning and end. */

struct fetcher *
fetcher_new(struct loop *loop, const struct fetcher_options *options)
{
	struct fetcher *f;

	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return NULL;
	f = xmalloc(sizeof(*f));
	*f = (struct fetcher){ .loop = loop, .timer.fire = fetcher_on_timer, .soon.run = fetcher_on_soon };
	list_init(&f->fetches);
	list_init(&f->sockets);
	f->multi = curl_multi_init();
	if (f->multi == NULL || (curl_version_info(CURLVERSION_NOW)->features & CURL_VERSION_ASYNCHDNS) == 0)
		return fetcher_free(f);
	curl_multi_setopt(f->multi, CURLMOPT_SOCKETFUNCTION, fetcher_on_socket);
	curl_multi_setopt(f->multi, CURLMOPT_SOCKETDATA, f);
	curl_multi_setopt(f->multi, CURLMOPT_TIMERFUNCTION, fetcher_on_wish);
	curl_multi_setopt(f->multi, CURLMOPT_TIMERDATA, f);
	curl_multi_setopt(f->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)options->connections);
	curl_multi_setopt(f->multi, CURLMOPT_MAXCONNECTS, (long)options->idle);
	return f;
}

struct fetcher *
fetcher_free(struct fetcher *f)
{
	if (f == NULL)
		return NULL;
	list_each(link, &f->fetches)
		fetch_free(list_entry(link, struct fetch, in_fetcher));
	curl_multi_cleanup(f->multi);
	list_each(link, &f->sockets)
		socket_free(list_entry(link, struct fetch_socket, in_fetcher));
	timer_stop(&f->timer);
	loop_forget_task(&f->soon);
	free(f);
	curl_global_cleanup();
	return NULL;
}

/* A call. */

static size_t
fetch_on_head(char *p, size_t size, size_t n, void *arg)
{
	struct fetch *f = arg;

	f->head += size * n;
	if (f->head <= FETCH_MAX_HEAD)
		return size * n;
	f->fault = "the head of the answer is too large";
	return 0;
}

static size_t
fetch_on_body(char *p, size_t size, size_t n, void *arg)
{
	struct fetch *f = arg;

	if (size * n <= f->max_body - f->body.n) {
		buf_add(&f->body, p, size * n);
		return size * n;
	}
	f->fault = "the answer is too large";
	return 0;
}

/* Without it nothing is sent that would be understood: the other side says no. */
static void
fetch_add_header(struct fetch *f, const char *line)
{
	struct curl_slist *more = curl_slist_append(f->headers, line);

	if (more != NULL)
		f->headers = more;
}

/* Where we talk to is in the configuration, and nobody leads us elsewhere. */
static void
fetch_set_way(CURL *curl, const char *url)
{
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	curl_easy_setopt(curl, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	/* Else giving up a name that is being looked up would wait for whoever looks. */
	curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L);
}

/* These, and not the system's: neither its file nor its folder. The bytes are copied. */
static void
fetch_set_authorities(CURL *curl, struct slice pem)
{
	struct curl_blob blob = { .data = (void *)(uintptr_t)pem.p, .len = pem.n, .flags = CURL_BLOB_COPY };

	if (pem.n == 0)
		return;
	curl_easy_setopt(curl, CURLOPT_CAINFO, NULL);
	curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);
	curl_easy_setopt(curl, CURLOPT_CAINFO_BLOB, &blob);
}

static void
fetch_set_request(struct fetch *f, const struct fetch_request *r)
{
	CURL *curl = f->curl;

	fetch_add_header(f, "Expect:");
	for (const char *const *line = r->headers; *line != NULL; line++)
		fetch_add_header(f, *line);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "roost");
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, f->headers);
	curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body.n);
	curl_easy_setopt(curl, CURLOPT_COPYPOSTFIELDS, r->body.p);
	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, fetch_on_head);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, f);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, fetch_on_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, f);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, f->told);
	curl_easy_setopt(curl, CURLOPT_PRIVATE, f);
}

static bool
fetch_begin(struct fetch *f, const struct fetch_request *r)
{
	f->curl = curl_easy_init();
	if (f->curl == NULL)
		return false;
	fetch_set_way(f->curl, r->url);
	fetch_set_authorities(f->curl, r->authorities);
	fetch_set_request(f, r);
	if (curl_multi_add_handle(f->fetcher->multi, f->curl) == CURLM_OK)
		return true;
	curl_easy_cleanup(f->curl);
	f->curl = NULL;
	return false;
}

struct fetch *
fetch_post(struct fetcher *fetcher, const struct fetch_request *r, fetch_fn *fn, void *arg)
{
	struct fetch *f = xmalloc(sizeof(*f));
	uint64_t      wait_ms = r->timeout_ms;

	*f = (struct fetch){
		.fetcher = fetcher, .max_body = r->max_body, .deadline.fire = fetch_on_deadline, .fn = fn, .arg = arg,
	};
	list_append(&fetcher->fetches, &f->in_fetcher);
	if (!fetch_begin(f, r)) {
		f->fault = "libcurl does not take it";
		wait_ms = 0;
	}
	loop_timer(fetcher->loop, &f->deadline, fetcher->loop->now + wait_ms);
	return f;
}

/* URLs. */

static void
url_done(CURLU **url)
{
	curl_url_cleanup(*url);
}

static bool
url_lacks(CURLU *url, CURLUPart what)
{
	char	  *text = NULL;
	const bool lacks = curl_url_get(url, what, &text, 0) != CURLUE_OK;

	curl_free(text);
	return lacks;
}

static bool
url_is_http(CURLU *url)
{
	char *scheme = NULL;
	bool  yes;

	if (curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK)
		return false;
	yes = strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0;
	curl_free(scheme);
	return yes;
}

bool
fetch_url_is_fine(const char *text)
{
	CURLU *url __attribute__((cleanup(url_done))) = curl_url();

	return url != NULL && curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK && url_is_http(url) &&
	    url_lacks(url, CURLUPART_USER) && url_lacks(url, CURLUPART_PASSWORD) && url_lacks(url, CURLUPART_FRAGMENT);
}

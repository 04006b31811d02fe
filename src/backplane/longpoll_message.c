/*
 * Writing and reading what nodes say of long-poll clients.
 */
#include "backplane/longpoll_message.h"

#include <errno.h>

#include "cluster/cluster_message.h"
#include "net/utf8.h"
#include "transport/longpoll.h"
#include "wire/json.h"

static const char *const type_names[LONGPOLL_TYPES] = {
	[LONGPOLL_POLL] = "poll",
	[LONGPOLL_POST] = "post",
	[LONGPOLL_STILL] = "still",
	[LONGPOLL_LEFT] = "gone",
	[LONGPOLL_ANSWER] = "answer",
};

static bool
has_session(enum longpoll_message_type t)
{
	return t == LONGPOLL_POLL || t == LONGPOLL_POST;
}

void
longpoll_message_write(struct buf *out, const struct longpoll_message *m)
{
	buf_addf(out, "{\"v\":%d,\"type\":\"%s\",\"node\":", LONGPOLL_VERSION, type_names[m->type]);
	json_quote(out, m->node);
	buf_add_str(out, ",\"id\":");
	json_quote(out, m->id);
	if (has_session(m->type)) {
		buf_add_str(out, ",\"session\":");
		json_quote(out, m->session);
	}
	if (m->type == LONGPOLL_POST) {
		buf_addf(out, ",\"lines\":%s,\"body\":", m->ndjson ? "true" : "false");
		json_quote(out, m->body);
	}
	if (m->type == LONGPOLL_ANSWER)
		buf_addf(out, ",\"status\":%u", m->status);
	if (m->type == LONGPOLL_ANSWER && m->messages.n > 0) {
		buf_add_str(out, ",\"messages\":");
		buf_add_slice(out, m->messages);
	}
	buf_add_char(out, '}');
}

static int
read_type(struct slice object, enum longpoll_message_type *type)
{
	char	     scratch[8];
	struct slice name;

	if (json_member_text(object, "type", scratch, sizeof(scratch), &name) < 0)
		return -EBADMSG;
	for (*type = 0; *type < LONGPOLL_TYPES; (*type)++)
		if (slice_is(name, type_names[*type]))
			return 0;
	return -EBADMSG;
}

static int
read_version(struct slice object)
{
	struct slice token = json_member(object, "v");
	uint64_t     version;

	if (token.p == NULL || cluster_number(token, &version) < 0 || version == 0)
		return -EBADMSG;
	return version > LONGPOLL_VERSION ? -EPROTONOSUPPORT : 0;
}

static int
read_post(struct longpoll_message *m, struct slice object, struct buf *scratch)
{
	struct slice lines = json_member(object, "lines"), body = json_member(object, "body");

	m->ndjson = lines.p != NULL && slice_is(lines, "true");
	if (lines.p == NULL || (!m->ndjson && !slice_is(lines, "false")))
		return -EBADMSG;
	if (body.p == NULL || *body.p != '"')
		return -EBADMSG;
	return json_text(body, buf_room(scratch, body.n), body.n, &m->body) < 0 ? -EBADMSG : 0;
}

static bool
is_strings(struct slice array)
{
	struct slice   value;
	enum json_kind kind = JSON_NULL;

	json_take(&array, '[');
	if (json_take(&array, ']'))
		return true;
	do
		if (json_take_value(&array, &value, &kind) < 0 || kind != JSON_STRING)
			return false;
	while (json_take(&array, ','));
	return true;
}

static int
read_answer(struct longpoll_message *m, struct slice object)
{
	struct slice status = json_member(object, "status");
	uint64_t     n = 0;

	if (status.p == NULL || cluster_number(status, &n) < 0)
		return -EBADMSG;
	if (n != LONGPOLL_OK && n != LONGPOLL_NOTHING && n != LONGPOLL_GONE && n != LONGPOLL_ENDED)
		return -EBADMSG;
	m->status = (unsigned)n;
	m->messages = json_member(object, "messages");
	if (m->messages.p == NULL)
		m->messages = SLICE("");
	else if (m->messages.p[0] != '[' || !is_strings(m->messages))
		return -EBADMSG;
	return 0;
}

int
longpoll_message_read(struct longpoll_message *m, struct slice text, struct buf *scratch)
{
	enum json_kind kind;
	int	       r;

	*m = (struct longpoll_message){ .body = SLICE(""), .messages = SLICE("") };
	scratch->n = 0;
	if (text.n > LONGPOLL_MAX_TEXT || !utf8_valid(text))
		return -EBADMSG;
	if (json_scan(text, &kind) != (ssize_t)text.n || kind != JSON_OBJECT)
		return -EBADMSG;
	r = read_version(text);
	if (r < 0)
		return r;
	if (read_type(text, &m->type) < 0 || json_member_text(text, "node", m->node_text, sizeof(m->node_text), &m->node) < 0 ||
	    !cluster_is_id(m->node) || json_member_text(text, "id", m->id_text, sizeof(m->id_text), &m->id) < 0 || m->id.n != ID_LEN)
		return -EBADMSG;
	if (has_session(m->type) && json_member_text(text, "session", m->session_text, sizeof(m->session_text), &m->session) < 0)
		return -EBADMSG;
	if (m->type == LONGPOLL_POST)
		return read_post(m, text, scratch);
	return m->type == LONGPOLL_ANSWER ? read_answer(m, text) : 0;
}

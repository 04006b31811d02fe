/*
 * What a channel says, as <roost/channel.h> has it: to its client, to all of its topic, or to those of them who are here.
 */
#include <errno.h>

#include "base/clock.h"
#include "session/channel.h"
#include "wire/message.h"

int
channel_push(struct channel *ch, struct slice event, struct channel_payload payload)
{
	struct message m;

	if (ch->phase != CHANNEL_JOINED || !payload_is_object(payload))
		return -EINVAL;
	m = (struct message){
		.kind = MESSAGE_PUSH, .join_ref = ch->join_ref, .topic_token = ch->sub.topic->token, .event = event,
		.payload = payload.bytes, .binary = payload.binary,
	};
	hub_send(&ch->session->env->pubsub.hub, ch->sub.out, ch->sub.codec, &m);
	message_done(&m);
	return 0;
}

/* {"clientId":ID,"userId":USER} */
static void
add_sender(struct buf *out, const struct channel *ch)
{
	const struct slice user = channel_user(ch);

	buf_addf(out, "{\"clientId\":\"%s\",\"userId\":", ch->session->id);
	if (user.n > 0)
		json_quote(out, user);
	else
		buf_add_str(out, "null");
	buf_add_char(out, '}');
}

/* Where the bus fails, this node's clients have it nevertheless, and the others are told of the gap. */
static void
channel_publish(struct channel *ch, struct broadcast *b, bool to_self)
{
	autobuf struct buf from = { 0 };
	/* Who has left speaks to the others alone. */
	const bool	   self = to_self && ch->phase == CHANNEL_JOINED;

	if (ch->route->class->names_senders) {
		add_sender(&from, ch);
		b->from = buf_slice(&from);
		b->at = wall_ms();
	}
	pubsub_broadcast_to(&ch->session->env->pubsub, ch->sub.topic, b, self ? NULL : &ch->sub);
}

static int
channel_publish_payload(struct channel *ch, struct slice event, struct channel_payload payload, bool to_self)
{
	struct broadcast b = { .event = event, .payload = payload.bytes, .binary = payload.binary };

	if (ch->sub.topic == NULL || !payload_is_object(payload))
		return -EINVAL;
	channel_publish(ch, &b, to_self);
	return 0;
}

int
channel_broadcast(struct channel *ch, struct slice event, struct channel_payload payload)
{
	return channel_publish_payload(ch, event, payload, true);
}

int
channel_broadcast_from(struct channel *ch, struct slice event, struct channel_payload payload)
{
	return channel_publish_payload(ch, event, payload, false);
}

int
channel_broadcast_data_from(struct channel *ch, struct slice event, struct slice value)
{
	autobuf struct buf object = { 0 };
	struct broadcast   b = { .event = event, .value = true };

	if (payload_is_object(channel_json(value)))
		return channel_publish_payload(ch, event, channel_json(value), false);
	if (ch->sub.topic == NULL || value.n == 0)
		return -EINVAL;
	buf_add_str(&object, "{\"data\":");
	buf_add_slice(&object, value);
	buf_add_char(&object, '}');
	b.payload = buf_slice(&object);
	channel_publish(ch, &b, false);
	return 0;
}

int
channel_tell_here(struct channel *ch, struct slice event, struct channel_payload payload, const struct channel *except)
{
	const struct broadcast b = { .event = event, .payload = payload.bytes, .binary = payload.binary };

	if (ch->sub.topic == NULL || !payload_is_object(payload))
		return -EINVAL;
	pubsub_receive(&ch->session->env->pubsub, ch->sub.topic->name, &b, except != NULL ? &except->sub : NULL);
	return 0;
}

int
channel_tell_typed_here(struct channel *ch, struct slice type, struct slice payload, const struct channel *except)
{
	struct topic  *topic = ch->sub.topic;
	struct message m;

	if (topic == NULL || !payload_is_object(channel_json(payload)))
		return -EINVAL;
	m = (struct message){
		.kind = MESSAGE_BROADCAST, .topic_token = topic->token, .event = type, .payload = payload, .typed = true,
		.only = 1u << CODEC_PUSHER,
	};
	hub_deliver(&ch->session->env->pubsub.hub, topic, &m, except != NULL ? &except->sub : NULL);
	message_done(&m);
	return 0;
}

unsigned
channel_count_here(const struct channel *ch)
{
	const struct topic *topic = ch->sub.topic;

	if (topic == NULL)
		topic = hub_topic(&ch->session->env->pubsub.hub, channel_topic(ch));
	/* Who is leaving holds the topic still. */
	return topic != NULL ? topic->n - ch->sub.deaf : 0;
}

void
channel_watch_audience(struct channel *ch)
{
	if (ch->sub.topic == NULL || ch->counted)
		return;
	ch->counted = true;
	audience_changed(&ch->session->env->pubsub.audience, ch->sub.topic->name);
}

unsigned
channel_count_audience(const struct channel *ch)
{
	return channel_count_here(ch) + audience_others(&ch->session->env->pubsub.audience, channel_topic(ch));
}

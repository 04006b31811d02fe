/*
 * The built-in channel classes, one per file. They see nothing but <roost/channel.h>.
 */
#ifndef CHANNELS_BUILTIN_H
#define CHANNELS_BUILTIN_H

#include <roost/channel.h>

extern const struct channel_class chat_class;
extern const struct channel_class comments_class;
extern const struct channel_class devices_class;
extern const struct channel_class presence_class;
extern const struct channel_class pusher_class;
extern const struct channel_class room_class;
extern const struct channel_class signaling_class;

#endif

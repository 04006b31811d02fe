/*
 * Which class serves a topic: patterns in order, the first match wins, as in a Phoenix UserSocket.
 */
#ifndef SESSION_ROUTES_H
#define SESSION_ROUTES_H

#include <roost/channel.h>

#include "base/units.h"

struct guard;

/* How a route is asked for; borrowed by routes_add(). */
struct route_options {
	const char	*pattern;	/* {name} = one or more characters but ":", a final "*" = any rest */
	const char	*class;
	bool		 public;	/* anonymous clients may join */
	struct route_setting {
		const char *name;
		const char *value;
	}		*settings;
	unsigned	 n_settings;
	struct route_rate {
		const char *event;
		struct rate rate;
	}		*rates;		/* those of this route; an event may also have one of the table's */
	unsigned	 n_rates;
	const char	*rate_reason;	/* a plain word; NULL = "rate_limit" */
	const char	*const *allow;	/* guards, see session/guard.h: any one suffices; ends with NULL; NULL = no guard */
	const char	*authorize_url;	/* NULL = none */
};

/* A line of the table. Channels of a topic keep the whole table alive. */
struct channel_route {
	struct routes	*table;
	char		*pattern;
	const struct channel_class *class;
	void		*data;		/* the class' own, from configure() */
	bool		 public;
	struct route_setting *settings;
	unsigned	 n_settings;
	struct route_rate *rates;
	unsigned	 n_rates;
	char		*rate_reason;	/* what who is over a rate is told */
	struct guard	*guard;		/* NULL = none */
	char		*authorize_url;	/* NULL = none */
};

struct routes {
	uint32_t	 refs;
	unsigned	 n;
	struct channel_route **items;
};

struct routes *routes_new(void);
struct routes *routes_ref(struct routes *);
/* Takes NULL, returns NULL. */
struct routes *routes_unref(struct routes *);
/*
 * Appends a route. 0, or -EINVAL with *why (caller frees): unknown class, bad pattern, an option that the
 * class does not have or like.
 */
int routes_add(struct routes *, const struct route_options *, char **why);
/* The first route whose pattern matches, NULL if none does. */
const struct channel_route *routes_match(const struct routes *, struct slice topic);
/* Do topics of that route keep history? Then *limits says how much. */
bool route_history(const struct channel_route *, struct history_limits *);
/* The rate for an event, NULL if there is none. */
const struct rate *route_rate(const struct channel_route *, struct slice event);

/*
 * Does the pattern match? With `name`, *capture becomes what {name} (or "*") stood for, p == NULL if the
 * pattern has no such name.
 */
bool route_match(const char *pattern, struct slice topic, const char *name, struct slice *capture);
/*
 * Unclosed brace, empty or repeated name, "*" elsewhere than at the end, two captures with nothing between
 * them: static text, NULL if the pattern is fine.
 */
const char *route_pattern_fault(const char *pattern);

#endif

/*
 * One JSON object changed by another. Both are of a client's making, with up to thousands of members: so nothing here looks
 * through all of them for each.
 */
#include "channels/merge.h"

#include <stdlib.h>

/* A member that may go into the result. */
struct field {
	struct slice	name;	/* decoded */
	struct slice	token;	/* the name as it was written */
	struct slice	value;	/* p == NULL: it does not */
	size_t		place;
};

/* Adds the object's members to an array of fields; `names` has room for what is decoded. */
static void
fields_add(struct buf *fields, struct buf *names, struct slice object)
{
	struct field f = { .place = fields->n / sizeof(f) };

	for (size_t at = 0; channel_json_next(object, &at, &f.token, &f.value) > 0; f.place++) {
		char *to = names->p + names->n;

		if (channel_json_string(f.token, to, names->cap - names->n, &f.name) < 0)
			f.name = f.token;
		if (f.name.p == to)
			names->n += f.name.n;
		buf_add(fields, &f, sizeof(f));
	}
}

static int
by_name(const void *a, const void *b)
{
	const struct field *x = *(const struct field *const *)a, *y = *(const struct field *const *)b;
	int		    r = slice_compare(x->name, y->name);

	return r != 0 ? r : (x->place > y->place) - (x->place < y->place);
}

/* Of several of one name the last value counts: in the place of the object's own (those before n_own), else in its own. */
static void
fields_unite(struct field *fields, size_t n_own, size_t n)
{
	autobuf struct buf sorted = { 0 };
	struct field	 **by = (void *)buf_room(&sorted, n * sizeof(*by));

	for (size_t i = 0; i < n; i++)
		by[i] = &fields[i];
	qsort(by, n, sizeof(*by), by_name);
	for (size_t i = 1; i < n; i++) {
		if (!slice_eq(by[i - 1]->name, by[i]->name))
			continue;
		if (by[i - 1]->place < n_own) {
			by[i - 1]->value = by[i]->value;
			by[i]->value.p = NULL;
			by[i] = by[i - 1];
		} else
			by[i - 1]->value.p = NULL;
	}
}

static void
fields_write(struct buf *out, const struct field *fields, size_t n)
{
	const char *between = "{";

	for (size_t i = 0; i < n; i++) {
		if (fields[i].value.p == NULL || slice_starts(fields[i].name, SLICE("phx_")))
			continue;
		buf_add_str(out, between);
		buf_add_slice(out, fields[i].token);
		buf_add_char(out, ':');
		buf_add_slice(out, fields[i].value);
		between = ",";
	}
	buf_add_str(out, *between == '{' ? "{}" : "}");
}

void
merge_objects(struct buf *out, struct slice object, struct slice changes)
{
	autobuf struct buf all = { 0 }, names = { 0 };
	struct field	  *fields;
	size_t		   n_own, n;

	buf_room(&names, object.n + changes.n);
	fields_add(&all, &names, object);
	n_own = all.n / sizeof(*fields);
	fields_add(&all, &names, changes);
	fields = (void *)all.p;
	n = all.n / sizeof(*fields);
	fields_unite(fields, n_own, n);
	fields_write(out, fields, n);
}

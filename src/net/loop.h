/*
 * One process' event loop, turn by turn: run what is ready, flush what was said, bury what was closed.
 */
#ifndef NET_LOOP_H
#define NET_LOOP_H

#include <event2/event.h>

#include "base/list.h"
#include "base/wheel.h"

#define LOOP_READ_SIZE	(64 * 1024)	/* bytes read from one stream in one turn */
#define LOOP_WORK	65536		/* frames queued, or their worth: more is for another turn */

struct outq;

/* Something that must outlive the turn in which it ended. */
struct grave {
	struct list	in_dead;
	void	      (*bury)(struct grave *);	/* frees the object around it */
};

/* Something to be done once, at the end of the turn in which it was asked for. All zero with `run` set asks for nothing. */
struct loop_task {
	struct list	in_tasks;
	void	      (*run)(struct loop_task *);
};

/* `tasks`, `dirty` and `dead` are empty while the loop waits. */
struct loop {
	struct event_base *base;
	struct wheel	   wheel;
	struct event	  *wake;	/* wakes us when the wheel wants to turn */
	struct list	   tasks;	/* for the end of this turn, in the order they were asked for */
	struct outq	  *dirty;	/* queues with something to flush, newest first */
	struct list	   dead;
	uint64_t	   now;		/* ms, monotonic, as of this turn's start, without `stood`: see loop_awake() */
	uint64_t	   stood;	/* ms that went by while the process was stopped */
	/* It has just grown; in the midst of an event: only set a timer. May be NULL. */
	void		 (*on_stood)(void *arg);
	void		  *stood_arg;
	bool		   awake;	/* this turn has begun: `now` is right */
	bool		   stop;
	uint64_t	   work;	/* done in this turn: see loop_worked() */
	uint64_t	   wake_at;	/* when `wake` is set to fire; UINT64_MAX = not set */
	uint64_t	   late;	/* ms between wake_at and this turn's start */
	uint64_t	   lag;		/* ms: the maximum until lag_until */
	uint64_t	   lag_before;	/* and of the time before that */
	uint64_t	   lag_until;
	char		  *read_buf;	/* LOOP_READ_SIZE bytes, lent to whoever reads */
	struct outq_ring  *free_rings;	/* the queues' spare rings: see outq.c */
	unsigned	   n_free_rings;
	struct batch	  *batch;	/* the last frames that were written together: see stream.c */
};

/* Returns NULL if libevent cannot work here. */
struct loop *loop_new(void);
/* Buries what is dead, then frees. NULL in, NULL out. */
struct loop *loop_free(struct loop *);
/* Waits for events (not at all if !wait), then runs one turn. */
void loop_turn(struct loop *, bool wait);
/* The second half of a turn: timers, tasks, flush, burial. For tests, and for code that runs outside of one. */
void loop_end_turn(struct loop *);
/* Turns until loop_stop(). */
void loop_run(struct loop *);
void loop_stop(struct loop *);
/* After the callback that runs, the turn ends; events that are not handled yet are for the next one. */
void loop_break(struct loop *);
void loop_bury(struct loop *, struct grave *);
/*
 * Has the task run at the end of this turn, behind the timers and before the queues are flushed; what asks for one later
 * than that has it in the same turn, too. Asking twice is asking once, and a task that runs may ask again, but not for ever.
 */
void loop_at_end(struct loop *, struct loop_task *);
/* It is not to run after all. Harmless if nobody had asked. */
void loop_forget_task(struct loop_task *);
/* Every event callback calls this first: the first one in a turn takes the time. */
void loop_awake(struct loop *);

/*
 * A few bytes can ask for much: what they ask for is counted, and who has more of them looks whether it is
 * time to stop.
 */
static inline void
loop_worked(struct loop *l, unsigned work)
{
	l->work += work;
}

static inline bool
loop_is_tired(const struct loop *l)
{
	return l->work >= LOOP_WORK;
}

static inline void
loop_timer(struct loop *l, struct timer *t, uint64_t due_ms)
{
	timer_set(&l->wheel, t, due_ms);
}

#endif

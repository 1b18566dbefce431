/*
 * fuse.h: what the files of fuse share. fuse.c walks the nodes and chooses, fuse_reads.c says what
 * a node reads and at which index, fuse_cheap.c what is not worth storing, fuse_order.c keeps the
 * kernels in an order, fuse_why.c keeps the reasons, fuse_finish.c names them.
 */
#ifndef TAPER_FUSE_H
#define TAPER_FUSE_H

#include "passes/passes.h"

enum fuse_class { FUSE_MAP, FUSE_ROW, FUSE_COLUMN, FUSE_CONTRACT, FUSE_WINDOW, FUSE_SCATTER };

struct fuse_edges { /* to groups; one that was absorbed stands for who absorbed it */
    int *to, count, room;
};
struct fuse_group { /* a kernel that is being made */
    enum fuse_class class;
    struct ir_shape domain;
    int prefix; /* ROW: values with the first `prefix` axes of the domain live here too; -1: none
                   yet */
    ir_val *nodes;
    int count, room;
    int walks; /* sums among them */
    int depth; /* its nodes in each other, with what is virtual between them, are no deeper */
    bool effect;
    bool again;         /* what is computed a second time stays apart from what came first */
    int loop;           /* of kernels that it belongs to, -1: none; the end of one belongs to it */
    const char *reason; /* why the first node is in no earlier one */
    int other_window;   /* an earlier group that walks the windows of the same value */
    int absorbed;       /* by this group; -1: it is one still */
    int position;       /* in an order in which all that a group needs comes before */
    struct fuse_edges needs, users; /* directly; an edge stands in both */
    uint32_t stamp;
    int reader, boundary; /* the group whose boundaries were asked for last, plus one; which one */
};

struct fuse_misfit { /* what could have been computed together is not */
    int group;       /* with which .. */
    const char *reason;
    int next; /* .. of the same node; -1: none */
};

struct fuse {
    const struct ir_graph *g;
    const struct pass_options *options;
    struct ir_arena *arena, *scratch; /* scratch: for one node's questions */
    bool *virtual;
    bool barriers;     /* there are some */
    const bool *cheap; /* by node id: computed where it is read as well; NULL: none */
    uint8_t *depth;    /* by node id: of virtual values in each other */
    int *group_of;     /* by node id; -1: none */
    const struct pass_loops *loops;
    int *begin;   /* by loop: the group of its step */
    int *readers; /* by node id: stored values that read it */
    int *window;  /* by node id: the latest group that walks its windows; -1: none */
    struct fuse_group *group;
    int groups, room;
    struct fuse_misfit *misfit;
    int misfits, misfit_room;
    int *misfit_of; /* by node id: the latest; -1: none */
    int *at;        /* by position: the group */
    int at_room;
    int *stack, *place; /* of searches: groups; their positions */
    int stack_room, place_room;
    uint32_t group_stamp;
    struct loop_kernel *k; /* for index arithmetic */
    ir_val *base;          /* what a node reads, views looked through, each once */
    int bases;
    uint32_t *seen, stamp;
    ir_val asked;  /* a state that is looked at as if it were of the group; 0: none */
    int questions; /* asked in this scratch */
    int steps;     /* left for the question at hand */
};

/* fuse_reads.c */
bool *pass_fuse_virtual(struct fuse *);      /* by node id: computed where it is read */
void pass_fuse_bases(struct fuse *, ir_val); /* f->base[0..f->bases): the stored values it reads */
bool pass_fuse_in_place(struct fuse *, int group, const struct ir_node *,
                        const struct ir_shape *at); /* does n, computed at the index `at`, read the
                                                       group's values where they are made? */

/* fuse_cheap.c */
bool *pass_fuse_cheap(struct fuse *, const bool *live); /* after a first round; NULL: none */

/* fuse_order.c */
int pass_fuse_new_group(struct fuse *, enum fuse_class, struct ir_shape domain, const char *reason);
void pass_fuse_need(struct fuse *, int group, int needed);    /* never makes a circle */
bool pass_fuse_needs(struct fuse *, int group, int needed);   /* at once or through others */
bool pass_fuse_between(struct fuse *, int group, int needed); /* through others? */
void pass_fuse_absorb(struct fuse *, int group, int other);   /* edges only; nobody is between */

/* fuse_why.c: why kernels end where they do */
void pass_fuse_misfit(struct fuse *, ir_val, int group, const char *reason);
void pass_fuse_boundaries(struct fuse *, int group, struct ir_kernel *);

/* fuse_finish.c: the groups as kernels, in order */
struct ir_program *pass_fuse_finish(struct fuse *);

#endif

/* Threads of this process as the system sees them, and what spprof's own threads need. */
#ifndef SP_OS_THREADS_H
#define SP_OS_THREADS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

pid_t sp_gettid(void); /* Context: any, handler included */

/* How many threads there are; a cheap look that tells whether a walk over them is worth it. -errno. */
int sp_threads_count(void);

/* Calls visit(tid, ctx) for each thread of the process. 0 or -errno. Keeps a descriptor open until sp_threads_close().
 * Context: one caller at a time. */
int sp_threads_each(void (*visit)(pid_t tid, void *ctx), void *ctx);
int sp_threads_open(void); /* ahead of the first call: that is slow where the table of descriptors must grow. 0 or -errno */
void sp_threads_close(void);

/* The share of the descriptors that the program may have, of which spprof takes some (1/SP_DESCRIPTOR_SHARE), and where they
 * live: above what select() can hold if there is room, else in the upper part of what is allowed, so that the program's own
 * keep the low numbers that it expects. */
#define SP_DESCRIPTOR_SHARE 4
int sp_lowest_descriptor(void);

/* What is in /proc/self/task/TID/`file`, as text; its length, or -1 (and an empty text) if it can't be read. */
ssize_t sp_task_file(pid_t tid, const char *file, char *out, size_t size);

/* The letter of a thread's state in /proc (R, S, D ...); 0 if it is gone. */
char sp_thread_state(pid_t tid);

/* Is `tid` the thread that the process began with, and has it ended? The list has that one until the process ends. */
bool sp_leader_has_ended(pid_t tid);

/* The kernel's name of a thread (at most 15 bytes); empty if it is gone. */
void sp_thread_comm(pid_t tid, char out[16]);

/* True if the thread would be running, had the calling one not taken its processor. Two files of /proc are read for it. */
bool sp_thread_displaced(pid_t tid);

/* Moves the calling thread, which has called sp_thread_precise(), off the processor that it is on, if it may use others. */
void sp_thread_make_room(void);

/* True if a thread of this process has `signo` pending and does not block it, or blocks it (`blocked_too`). */
bool sp_threads_signal_pending(int signo, bool blocked_too);

/* Starts a thread of spprof's own: every signal blocked, so that none of the program's is delivered to it. 0 or -errno. */
int sp_thread_spawn(pthread_t *thread, const char *name, void *(*run)(void *), void *arg);

/* Sleeps until *word != expected, sp_futex_wake(word) or the time is over. sp_futex_wake may be called by the handler. */
void sp_futex_wait(atomic_uint *word, unsigned expected, uint64_t timeout_ns);
void sp_futex_wake(atomic_uint *word);

/* From now on what the calling thread opens is its own alone, and what the process has open it does not see: it neither takes
 * the low numbers from the program nor loses its files to a program that closes all descriptors. */
void sp_thread_own_files(void);

/* From now on the calling thread's sleeps end on time, and it need not wait for a processor then. */
void sp_thread_precise(void);

/* A thread's last words: `at_exit` is called on a thread that ends, with the value that it was given.
 * In a handler only where sp_exit_hook_in_handler() says so. */
int sp_exit_hook_init(void (*at_exit)(void *value));
bool sp_exit_hook_in_handler(void);
void sp_exit_hook_set(void *value);

/* Processors of the machine that are in use; 1 if that can't be told. */
unsigned sp_processors(void);

#endif

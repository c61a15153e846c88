/* Registers of an interrupted thread. Context: signal handler. */
#ifndef SP_OS_UCONTEXT_H
#define SP_OS_UCONTEXT_H

#include <stdbool.h>
#include <stdint.h>
#include <ucontext.h>

static inline uintptr_t sp_ucontext_stack_pointer(void *ucontext)
{
    const ucontext_t *uc = ucontext;
#if defined(__x86_64__)
    return (uintptr_t)uc->uc_mcontext.gregs[REG_RSP];
#elif defined(__aarch64__)
    return (uintptr_t)uc->uc_mcontext.sp;
#else
#error "spprof does not know the registers of this architecture"
#endif
}

/* The rest that unwinding begins with; `link`: where a function returns to that has not stored it, 0 if calls store it. */
static inline void sp_ucontext_frame(void *ucontext, uintptr_t *pc, uintptr_t *frame_pointer, uintptr_t *link)
{
    const ucontext_t *uc = ucontext;
#if defined(__x86_64__)
    *pc = (uintptr_t)uc->uc_mcontext.gregs[REG_RIP];
    *frame_pointer = (uintptr_t)uc->uc_mcontext.gregs[REG_RBP];
    *link = 0;
#else
    *pc = (uintptr_t)uc->uc_mcontext.pc;
    *frame_pointer = (uintptr_t)uc->uc_mcontext.regs[29];
    *link = (uintptr_t)uc->uc_mcontext.regs[30];
#endif
}

/* The same of the running function, at this place. */
__attribute__((always_inline)) static inline void sp_registers_here(uintptr_t *pc, uintptr_t *stack_pointer,
                                                                    uintptr_t *frame_pointer)
{
#if defined(__x86_64__)
    __asm__ volatile("lea 0(%%rip), %0\n\tmov %%rsp, %1\n\tmov %%rbp, %2"
                     : "=&r"(*pc), "=&r"(*stack_pointer), "=&r"(*frame_pointer));
#else
    __asm__ volatile("adr %0, .\n\tmov %1, sp\n\tmov %2, x29" : "=&r"(*pc), "=&r"(*stack_pointer), "=&r"(*frame_pointer));
#endif
}

/* The first argument of the system call that the thread is just coming back from, such as the address on which it waited;
 * 0 if it is not, or where the registers don't tell (aarch64: the result overwrites it). */
static inline uintptr_t sp_ucontext_left_call(void *ucontext)
{
#if defined(__x86_64__)
    const ucontext_t *uc = ucontext;
    const unsigned char *pc = (const unsigned char *)uc->uc_mcontext.gregs[REG_RIP];
    bool inside_page = ((uintptr_t)pc & 0xfff) >= 2;
    bool after_syscall = inside_page && pc[-2] == 0x0f && pc[-1] == 0x05;
    return after_syscall ? (uintptr_t)uc->uc_mcontext.gregs[REG_RDI] : 0;
#else
    (void)ucontext;
    return 0;
#endif
}

#endif

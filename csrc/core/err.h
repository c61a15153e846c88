/* Failures of the C core: 0 is success, a negative code says what went wrong; text is made at the Python border. */
#ifndef SP_CORE_ERR_H
#define SP_CORE_ERR_H

enum sp_err {
    SP_OK = 0,
    SP_ERR_MEMORY = -1,  /* the allocator said no */
    SP_ERR_LIMIT = -2,   /* memory_limit_mb is reached */
    SP_ERR_RUNNING = -3, /* a session is active */
    SP_ERR_NOT_RUNNING = -4,
    SP_ERR_SYSTEM = -5,  /* an operating system call failed: see the errno kept beside it */
    SP_ERR_NO_TICK = -6, /* no tick source can be had */
};

#endif

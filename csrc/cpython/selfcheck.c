#include "selfcheck.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "access.h"
#include "core/linetable.h"
#include "codeobject.h"
#include "frames.h"
#include "threadstate.h"

#if SP_DEBUG_OFFSETS
#include <internal/pycore_genobject.h>
#include <internal/pycore_interp.h>
#include <internal/pycore_runtime.h>
#endif

#if SP_DEBUG_OFFSETS
static char reason[256];

#define HINT "; reinstall spprof for this interpreter (pip install --force-reinstall --no-binary spprof spprof)"

#define SAME(group, field, type, member) {#type "." #member, (uint64_t)offsetof(type, member), _PyRuntime.debug_offsets.group.field}

static const char *compare_offsets(void)
{
    if (_PyRuntime.debug_offsets.free_threaded != SP_FREE_THREADED) {
        return "built for the other kind of interpreter (free-threaded or not)" HINT;
    }
    const struct {
        const char *what;
        uint64_t compiled, running;
    } pairs[] = {
        SAME(thread_state, interp, PyThreadState, interp),
        SAME(thread_state, current_frame, PyThreadState, current_frame),
        SAME(interpreter_frame, previous, sp_frame, previous),
        SAME(interpreter_frame, executable, sp_frame, f_executable),
        SAME(interpreter_frame, instr_ptr, sp_frame, instr_ptr),
        SAME(interpreter_frame, localsplus, sp_frame, localsplus),
        SAME(interpreter_frame, owner, sp_frame, owner),
        SAME(code_object, filename, PyCodeObject, co_filename),
        SAME(code_object, name, PyCodeObject, co_name),
        SAME(code_object, qualname, PyCodeObject, co_qualname),
        SAME(code_object, linetable, PyCodeObject, co_linetable),
        SAME(code_object, firstlineno, PyCodeObject, co_firstlineno),
        SAME(code_object, co_code_adaptive, PyCodeObject, co_code_adaptive),
#if PY_VERSION_HEX >= 0x030E0000
        SAME(thread_state, datastack_chunk, PyThreadState, datastack_chunk),
        SAME(gen_object, gi_iframe, PyGenObject, gi_iframe),
        SAME(gen_object, gi_frame_state, PyGenObject, gi_frame_state),
#endif
#if PY_VERSION_HEX >= 0x030F0000
        SAME(thread_state, base_frame, PyThreadState, base_frame),
#endif
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        if (pairs[i].compiled != pairs[i].running) {
            snprintf(reason, sizeof reason,
                     "%s is at offset %llu in this interpreter, at %llu in the headers spprof was built with" HINT, pairs[i].what,
                     (unsigned long long)pairs[i].running, (unsigned long long)pairs[i].compiled);
            return reason;
        }
    }
    return NULL;
}
#endif

/* The line of a walked frame, from the same table and decoder that profiles use. */
static int32_t line_of(PyCodeObject *code, int32_t offset)
{
    struct sp_budget unlimited = {0, SIZE_MAX};
    struct sp_code_meta *meta = sp_code_meta_new(&unlimited, code);
    if (meta == NULL) {
        return -1;
    }
    int32_t line = sp_code_locate(meta, offset).line;
    sp_code_meta_free(&unlimited, meta);
    return line;
}

static const char *compare_stack(bool (*readable)(uintptr_t))
{
    struct sp_raw_frame *walked = malloc((SP_MAX_DEPTH + 1) * sizeof *walked);
    if (walked == NULL) {
        return "no memory for the self-check";
    }
    const char *wrong = NULL;
    uintptr_t coroutine;
    int n = sp_walk(sp_own_thread_state(), (uintptr_t)&wrong, readable, walked, &coroutine, NULL);
    PyFrameObject *frame = PyEval_GetFrame();
    Py_XINCREF(frame);
    for (int i = 0; i < n && i < SP_MAX_DEPTH / 2; i++) {
        if (frame == NULL) {
            wrong = "the walk found more frames than the interpreter has";
            break;
        }
        PyCodeObject *code = PyFrame_GetCode(frame);
        if (walked[i].addr != (uint64_t)(uintptr_t)code) {
            wrong = "the walk found another function than the interpreter has";
        } else if (line_of(code, walked[i].offset) != PyFrame_GetLineNumber(frame)) {
            wrong = "the walk found another line than the interpreter has";
        }
        Py_DECREF(code);
        if (wrong != NULL) {
            break;
        }
        PyFrameObject *back = PyFrame_GetBack(frame);
        Py_DECREF(frame);
        frame = back;
    }
    if (wrong == NULL && (n < 0 || (frame != NULL && n < SP_MAX_DEPTH / 2))) {
        wrong = "the walk missed frames that the interpreter has";
    }
    Py_XDECREF(frame);
    free(walked);
    return wrong;
}

const char *sp_selfcheck(bool (*readable)(uintptr_t))
{
    const char *forced = getenv("SPPROF_FAIL_SELF_CHECK"); /* lets tests and users see what a refusal looks like */
    if (forced != NULL && *forced != '\0') {
        return "SPPROF_FAIL_SELF_CHECK is set";
    }
#if PY_VERSION_HEX >= 0x030B0000 && PY_VERSION_HEX < 0x030C0000
    if (strncmp(Py_GetVersion(), "3.11.0", 6) == 0) {
        return "CPython 3.11.0 frees code objects under frames that still name them (gh-99729); upgrade to 3.11.1 or later";
    }
#endif
#if SP_DEBUG_OFFSETS
    const char *offsets = compare_offsets();
    if (offsets != NULL) {
        return offsets;
    }
#endif
    return compare_stack(readable);
}

#pragma once

/// Skips a test whose threads are a team of OpenMP's, which is not built for the thread sanitizer.
#ifdef __SANITIZE_THREAD__
#define SKIP_UNDER_THREAD_SANITIZER() GTEST_SKIP() << "the thread sanitizer does not see what OpenMP's threads wait for"
#else
#define SKIP_UNDER_THREAD_SANITIZER() static_cast<void>(0)
#endif

// SPDX-License-Identifier: Apache-2.0
// The correlation index as an observer of every commit, and what it asks the trace store.

import Correlation
import TraceStore

extension Correlation: BatchObserving {}
extension TraceStore: StoredSpanReading {}

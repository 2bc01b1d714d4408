// SPDX-License-Identifier: Apache-2.0
// The correlation index as an observer of every commit.

import Correlation

extension Correlation: BatchObserving {}

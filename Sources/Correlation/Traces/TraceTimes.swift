// SPDX-License-Identifier: Apache-2.0
// Where the time of a trace went, by the name answers know it.

import Telemetry

/// Self time and critical path; stored with the spans, see `SpanStructure`.
package typealias TraceTimes = SpanStructure

// SPDX-License-Identifier: Apache-2.0
// The times of a query in a request.

import Base
import Telemetry

/// When a query is evaluated: once, or step by step.
enum QueryMoments: Sendable {
    case instant(Millis)
    case range(start: Millis, end: Millis, stepMillis: Int64)
}

extension APIRequest {
    /// `time`, now when absent.
    func instant(_ clock: any Clock) throws(APIError) -> QueryMoments {
        .instant(Millis(try millis("time", default: clock.wallNanos / 1_000_000)))
    }

    /// `start`, `end` and `step`.
    ///
    /// - Throws: 400 with Prometheus' text when one is missing or wrong, or when there would be
    ///   more than `maxPoints` steps and one.
    func range(maxPoints: Int) throws(APIError) -> QueryMoments {
        let start = try millis("start")
        let end = try millis("end")
        guard end >= start else {
            throw APIError(
                .badData,
                "invalid parameter \"end\": end timestamp must not be before start time")
        }
        guard let step = try durationMillis("step") else {
            throw APIError(
                .badData, "invalid parameter \"step\": cannot parse \"\" to a valid duration")
        }
        guard step > 0 else {
            throw APIError(
                .badData,
                "invalid parameter \"step\": zero or negative query resolution step widths are not "
                    + "accepted. Try a positive integer")
        }
        let (span, overflow) = end.subtractingReportingOverflow(start)
        guard !overflow, span / step <= Int64(maxPoints) else {
            throw APIError(
                .badData,
                "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the "
                    + "query resolution (?step=XX)")
        }
        return .range(start: Millis(start), end: Millis(end), stepMillis: step)
    }
}

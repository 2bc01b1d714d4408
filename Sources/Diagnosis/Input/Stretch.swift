// SPDX-License-Identifier: Apache-2.0
// Which stretch of time something belongs to.

import Telemetry

/// The stretches of time that are looked at.
package enum Stretch: Int, CaseIterable, Sendable {
    /// What things are compared with.
    case baseline
    /// Just before the window, as long as it, where the baseline is another time: tells what changed
    /// long ago from what changed now.
    case before
    /// When something was wrong.
    case window
}

/// One number for each stretch.
struct PerStretch<Value: Sendable>: Sendable {
    var baseline: Value
    var before: Value
    var window: Value

    init(repeating value: Value) {
        baseline = value
        before = value
        window = value
    }

    /// From values in the order of `Stretch.allCases`.
    init(_ values: [Value], none: Value) {
        func value(_ stretch: Stretch) -> Value {
            stretch.rawValue < values.count ? values[stretch.rawValue] : none
        }
        baseline = value(.baseline)
        before = value(.before)
        window = value(.window)
    }

    /// Copies: for numbers, not for collections that are filled.
    subscript(stretch: Stretch) -> Value {
        get {
            switch stretch {
            case .baseline: baseline
            case .before: before
            case .window: window
            }
        }
        set {
            switch stretch {
            case .baseline: baseline = newValue
            case .before: before = newValue
            case .window: window = newValue
            }
        }
    }
}

/// What is asked for.
package struct DiagnosisRequest: Sendable {
    package var tenant: Tenant
    /// Times at both ends are inside.
    package var window: NanosRange
    package var baseline: NanosRange
    /// Only suspects among this service and those it calls, directly or not.
    package var service: String?
    /// Only the services of these traces.
    package var traces: [TraceID] = []
    /// Only the services of these series.
    package var series: [[LabelMatcher]] = []
    /// Most suspects of the answer.
    package var limit = 10

    package init(tenant: Tenant, window: NanosRange, baseline: NanosRange? = nil) {
        self.tenant = tenant
        self.window = window
        self.baseline = baseline ?? window.preceding
    }

    /// Where the second half of the window begins, in nanoseconds.
    var windowMiddle: Int64 {
        let (length, overflow) = window.last.rawValue.subtractingReportingOverflow(
            window.first.rawValue)
        return overflow ? 0 : window.first.rawValue + length / 2
    }

    /// Where `Stretch.before` lies: what the baseline leaves of the time before the window; nil when
    /// that is little.
    var before: NanosRange? {
        let preceding = window.preceding
        guard preceding.overlaps(first: baseline.first.rawValue, last: baseline.last.rawValue)
        else { return preceding }
        guard baseline.last < preceding.last else { return nil }
        let rest = NanosRange(first: Nanos(baseline.last.rawValue + 1), last: preceding.last)
        return rest.seconds * 4 >= preceding.seconds ? rest : nil
    }
}

extension NanosRange {
    /// The equally long stretch that ends just before this one begins; both held at the ends of what
    /// can be told.
    package var preceding: NanosRange {
        let length = last.rawValue.subtractingReportingOverflow(first.rawValue)
        let (end, under) = first.rawValue.subtractingReportingOverflow(1)
        if under || length.overflow {
            return NanosRange(first: .min, last: Nanos(under ? .min : end))
        }
        let (start, lost) = end.subtractingReportingOverflow(length.partialValue)
        return NanosRange(first: Nanos(lost ? .min : start), last: Nanos(end))
    }

    /// Seconds from start to end.
    var seconds: Double { (Double(last.rawValue) - Double(first.rawValue)) / 1e9 }
}

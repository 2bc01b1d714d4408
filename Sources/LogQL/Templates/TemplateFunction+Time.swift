// SPDX-License-Identifier: Apache-2.0
// Template functions over time. The only zone is UTC: this process keeps no zone database.

import Base

extension TemplateFunction {
    func callTemporal(_ arguments: [TemplateValue]) throws(TemplateError) -> TemplateValue {
        switch self {
        case .date:
            return .string(GoTimeLayout(try text(arguments[0])).text(try moment(arguments[1])))
        case .toDate:
            return .time(try parsed(try text(arguments[1]), try text(arguments[0])))
        case .toDateInZone:
            let zone = try text(arguments[1])
            guard ["", "UTC", "GMT", "Local", "Etc/UTC", "Z"].contains(zone) else {
                throw fault("unknown time zone \(zone): only UTC is supported")
            }
            return .time(try parsed(try text(arguments[2]), try text(arguments[0])))
        case .unixEpoch: return .string(String(try scaled(arguments[0], by: 1_000_000_000)))
        case .unixEpochMillis: return .string(String(try scaled(arguments[0], by: 1_000_000)))
        case .unixEpochNanos: return .string(String(try moment(arguments[0])))
        case .unixToTime: return .time(try fromEpoch(try text(arguments[0])))
        default: throw fault("\(rawValue) is no function of time")
        }
    }

    /// Whole units since the epoch, rounded down.
    private func scaled(_ value: TemplateValue, by unit: Int64) throws(TemplateError) -> Int64 {
        let nanos = try moment(value)
        return nanos / unit - (nanos % unit < 0 ? 1 : 0)
    }

    private func moment(_ value: TemplateValue) throws(TemplateError) -> Int64 {
        switch value {
        case .time(let nanos): return nanos
        case .int(let seconds):
            let (nanos, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
            if overflow { throw fault("time out of range") }
            return nanos
        default: throw fault("wrong type for value; expected time.Time; got \(value.typeName)")
        }
    }

    private func parsed(_ text: String, _ layout: String) throws(TemplateError) -> Int64 {
        guard let nanos = GoTimeLayout(layout).nanos(text) else {
            throw fault(
                "parsing time \(quotedText(text)) as \(quotedText(layout)): cannot parse")
        }
        return nanos
    }

    /// Days, seconds, milliseconds, microseconds or nanoseconds by the number of digits.
    private func fromEpoch(_ text: String) throws(TemplateError) -> Int64 {
        guard let value = Int64(text) else {
            throw fault("unable to parse time '\(text)': invalid syntax")
        }
        let unit: Int64
        switch text.utf8.count {
        case 5: unit = 86_400_000_000_000
        case 10: unit = 1_000_000_000
        case 13: unit = 1_000_000
        case 16: unit = 1000
        case 19: unit = 1
        default: throw fault("unable to parse time '\(text)': unexpected number of digits")
        }
        let (nanos, overflow) = value.multipliedReportingOverflow(by: unit)
        if overflow { throw fault("time out of range") }
        return nanos
    }
}

// SPDX-License-Identifier: Apache-2.0
// Durations in Prometheus' notation: `1h30m`, `5m`, `250ms`.

/// A text that is no duration.
package struct DurationTextError: Error, Equatable, Sendable, CustomStringConvertible {
    package let description: String
}

/// Units in descending order, the order in which they may follow one another.
private let durationUnits: [(name: String, millis: Int64, wholeOnly: Bool)] = [
    ("y", 365 * 86_400_000, true), ("w", 7 * 86_400_000, true), ("d", 86_400_000, false),
    ("h", 3_600_000, false), ("m", 60_000, false), ("s", 1000, false), ("ms", 1, false),
]

/// Milliseconds of a Prometheus duration: digits and units from years down to milliseconds, each
/// unit at most once and in falling order; a bare `0` needs no unit.
///
/// - Throws: `DurationTextError` with the text of prometheus/common `model.ParseDuration`.
package func parseDurationMillis(
    _ text: some StringProtocol
) throws(DurationTextError) -> Int64 {
    func invalid() -> DurationTextError {
        DurationTextError(
            description: "not a valid duration string: " + quotedText(String(text)))
    }
    if text.isEmpty { throw DurationTextError(description: "empty duration string") }
    if text == "0" { return 0 }
    let outOfRange = DurationTextError(description: "duration out of range")
    var total: Int64 = 0
    var next = 0
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
        let digits = rest.prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
        rest = rest.dropFirst(digits.count)
        let letters = rest.prefix { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) }
        rest = rest.dropFirst(letters.count)
        let name = String(decoding: letters, as: UTF8.self)
        if digits.isEmpty || letters.isEmpty { throw invalid() }
        guard let unit = durationUnits.indices.first(where: { durationUnits[$0].name == name })
        else {
            throw DurationTextError(
                description: "unknown unit \(quotedText(name)) in duration "
                    + quotedText(String(text)))
        }
        if unit < next { throw invalid() }
        next = unit + 1
        guard let number = Int64(String(decoding: digits, as: UTF8.self)) else { throw outOfRange }
        let (part, overflow) = number.multipliedReportingOverflow(by: durationUnits[unit].millis)
        let (sum, sumOverflow) = total.addingReportingOverflow(part)
        // Go keeps durations in nanoseconds.
        if overflow || sumOverflow || sum > Int64.max / 1_000_000 { throw outOfRange }
        total = sum
    }
    return total
}

/// A duration as Prometheus prints it: years and weeks only when nothing remains below them.
package func durationText(millis: Int64) -> String {
    if millis == 0 { return "0s" }
    var text = millis < 0 ? "-" : ""
    var rest = millis.magnitude
    for unit in durationUnits {
        let size = unit.millis.magnitude
        if unit.wholeOnly, rest % size != 0 { continue }
        let count = rest / size
        if count > 0 {
            text += "\(count)\(unit.name)"
            rest -= count * size
        }
    }
    return text
}

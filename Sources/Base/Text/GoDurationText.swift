// SPDX-License-Identifier: Apache-2.0
// Durations as Go's standard library reads and prints them: `1h30m0s`, `1.5s`.

/// A text that Go's `time.ParseDuration` refuses.
package struct GoDurationError: Error, Equatable, Sendable, CustomStringConvertible {
    package let description: String
}

/// Nanoseconds per unit of Go's duration notation.
private func goUnitNanos(_ name: ArraySlice<UInt8>) -> Double? {
    switch String(decoding: name, as: UTF8.self) {
    case "ns": 1
    case "us", "µs", "μs": 1e3
    case "ms": 1e6
    case "s": 1e9
    case "m": 60e9
    case "h": 3600e9
    default: nil
    }
}

/// Nanoseconds of a Go duration: a sign, then decimal numbers with a unit each (`1h30m`, `1.5s`,
/// `-3ms`); a bare `0` needs no unit.
///
/// - Throws: `GoDurationError` with the text of Go's `time.ParseDuration`.
package func parseGoDuration(_ text: String) throws(GoDurationError) -> Int64 {
    func invalid() -> GoDurationError {
        GoDurationError(description: "time: invalid duration \"\(text)\"")
    }
    var rest = Array(text.utf8)[...]
    let negative = rest.first == UInt8(ascii: "-")
    if negative || rest.first == UInt8(ascii: "+") { rest = rest.dropFirst() }
    if rest.elementsEqual("0".utf8) { return 0 }
    if rest.isEmpty { throw invalid() }
    var total = 0.0
    var exact: Int64 = 0
    var isExact = true
    while !rest.isEmpty {
        let number = rest.prefix { isDigit($0) || $0 == UInt8(ascii: ".") }
        rest = rest.dropFirst(number.count)
        let unit = rest.prefix { !isDigit($0) && $0 != UInt8(ascii: ".") }
        rest = rest.dropFirst(unit.count)
        guard number.contains(where: isDigit), let value = Double(goDecimal(number)) else {
            throw invalid()
        }
        if unit.isEmpty {
            throw GoDurationError(description: "time: missing unit in duration \"\(text)\"")
        }
        guard let scale = goUnitNanos(unit) else {
            let name = String(decoding: unit, as: UTF8.self)
            throw GoDurationError(
                description: "time: unknown unit \"\(name)\" in duration \"\(text)\"")
        }
        total += value * scale
        if isExact, let whole = Int64(String(decoding: number, as: UTF8.self)) {
            let (product, overflow) = whole.multipliedReportingOverflow(by: Int64(scale))
            let (sum, sumOverflow) = exact.addingReportingOverflow(product)
            if overflow || sumOverflow { throw invalid() }
            exact = sum
        } else {
            isExact = false
        }
    }
    if !isExact {
        guard let rounded = Int64(exactly: total.rounded(.towardZero)) else { throw invalid() }
        exact = rounded
    }
    return negative ? -exact : exact
}

/// Nanoseconds of a duration in a query of logs or traces: Prometheus' notation (`1d12h`), else Go's
/// (`1.5s`, `10µs`). Nil when it is neither.
package func parseQueryDuration(_ text: String) -> Int64? {
    if let millis = try? parseDurationMillis(text) { return millis * 1_000_000 }
    return try? parseGoDuration(text)
}

/// Digits that `Double.init` accepts where Go accepts `.5` and `5.`.
private func goDecimal(_ digits: ArraySlice<UInt8>) -> String {
    var text = String(decoding: digits, as: UTF8.self)
    if text.hasPrefix(".") { text = "0" + text }
    if text.hasSuffix(".") { text += "0" }
    return text
}

@inline(__always) private func isDigit(_ byte: UInt8) -> Bool {
    byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9")
}

/// A duration as Go prints it: `1h30m0s`, `1.5s`, `250ms`, `0s`.
package func goDurationText(nanos: Int64) -> String {
    if nanos == 0 { return "0s" }
    let magnitude = nanos.magnitude
    var text = nanos < 0 ? "-" : ""
    func fraction(_ value: UInt64, _ digits: Int) -> String {
        var tail = String(value)
        tail = String(repeating: "0", count: max(0, digits - tail.utf8.count)) + tail
        while tail.hasSuffix("0") { tail.removeLast() }
        return tail.isEmpty ? "" : "." + tail
    }
    if magnitude < 1_000_000_000 {
        switch magnitude {
        case 0..<1000: text += "\(magnitude)ns"
        case 1000..<1_000_000: text += "\(magnitude / 1000)\(fraction(magnitude % 1000, 3))µs"
        default: text += "\(magnitude / 1_000_000)\(fraction(magnitude % 1_000_000, 6))ms"
        }
        return text
    }
    let seconds = magnitude / 1_000_000_000
    if seconds >= 3600 { text += "\(seconds / 3600)h" }
    if seconds >= 60 { text += "\(seconds / 60 % 60)m" }
    return text + "\(seconds % 60)\(fraction(magnitude % 1_000_000_000, 9))s"
}

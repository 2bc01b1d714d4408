// SPDX-License-Identifier: Apache-2.0
// Numbers and times beside a chart.

import Base

/// A number in at most seven characters: `1.25k`, `38M`, `0.0042`, `1.2e-9`.
func axisText(_ value: Double) -> String {
    guard value.isFinite else { return value.isNaN ? "NaN" : value < 0 ? "-Inf" : "+Inf" }
    let size = abs(value)
    if size == 0 { return "0" }
    for (scale, unit) in [(1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")]
    where size >= scale * 0.9995 && size < 1e18 {
        return significant(value / scale, 3) + unit
    }
    if size >= 1e18 || size < 1e-4 {
        let exponent = Int(exponentOfTen(size))
        return significant(value / powerOfTen(exponent), 2) + "e\(exponent)"
    }
    return significant(value, 3)
}

private func exponentOfTen(_ size: Double) -> Double {
    var exponent = 0.0
    var rest = size
    while rest >= 10 {
        rest /= 10
        exponent += 1
    }
    while rest < 1 {
        rest *= 10
        exponent -= 1
    }
    return exponent
}

private func powerOfTen(_ exponent: Int) -> Double {
    var out = 1.0
    for _ in 0..<abs(exponent) { out = exponent < 0 ? out / 10 : out * 10 }
    return out
}

/// A number with so many significant digits, without zeros at the end.
private func significant(_ value: Double, _ digits: Int) -> String {
    guard value != 0, value.isFinite else { return "0" }
    let exponent = Int(exponentOfTen(abs(value)))
    let places = min(12, max(0, digits - 1 - exponent))
    let scale = powerOfTen(places)
    let whole = (abs(value) * scale).rounded()
    guard whole < 1e15 else { return String(value) }
    var text = String(Int64(whole))
    if places > 0 {
        if text.count <= places {
            text = String(repeating: "0", count: places + 1 - text.count) + text
        }
        let split = text.index(text.endIndex, offsetBy: -places)
        text = text[..<split] + "." + text[split...]
        while text.last == "0" { text.removeLast() }
        if text.last == "." { text.removeLast() }
    }
    return value < 0 ? "-" + text : text
}

/// The largest of 1, 2, 2.5 and 5 times a power of ten that is not above the value.
func roundStep(_ value: Double) -> Double {
    guard value > 0, value.isFinite else { return 1 }
    let power = powerOfTen(Int(exponentOfTen(value)))
    for factor in [5.0, 2.5, 2.0] where factor * power <= value * 1.000001 { return factor * power }
    return power
}

/// Labels under an axis of time: clock times at round moments, with the day in front at the first
/// and where it changes when the stretch is longer than a day.
///
/// - Parameter columns: characters between the two ends.
func timeAxis(
    startNanos: Int64, endNanos: Int64, columns: Int, _ zone: ShownZone, _ terminal: TerminalTraits
) -> StyledText {
    let seconds = Double(endNanos &- startNanos) / 1e9
    let withSeconds = seconds < 600
    let withDay = seconds > 86_400
    let labelWidth = withDay ? 12 : withSeconds ? 9 : 6
    let count = max(1, columns / (labelWidth + 6))
    let steps: [Double] = [
        1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200,
        86_400, 172_800, 604_800, 1_209_600, 2_592_000,
    ]
    let step = steps.first { seconds / $0 <= Double(count) } ?? seconds / Double(count)
    var line = StyledText(terminal)
    guard seconds > 0, step > 0 else { return line }
    let offset = Double(zone.offsetSeconds(atNanos: startNanos))
    var moment = ((Double(startNanos) / 1e9 + offset) / step).rounded(.up) * step - offset
    while moment <= Double(endNanos) / 1e9 {
        let column = Int(
            clamping: (moment - Double(startNanos) / 1e9) / seconds * Double(columns - 1))
        let text = zone.shortText(
            nanos: Int64(clamping: moment * 1e9), day: withDay, seconds: withSeconds)
        if column >= line.width, column + text.count <= columns {
            line.pad(to: column)
            line.add(text, .dim)
            line.add(" ")
        }
        if moment + step == moment { break }
        moment += step
    }
    return line
}

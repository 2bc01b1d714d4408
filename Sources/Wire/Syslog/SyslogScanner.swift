// SPDX-License-Identifier: Apache-2.0
// The headers of syslog messages.

import Base
import Telemetry

/// A cursor over one message.
struct SyslogScanner {
    private let text: UnsafeRawBufferPointer
    private var offset = 0

    init(_ text: UnsafeRawBufferPointer) { self.text = text }

    /// What is not read yet.
    var rest: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: text[offset...]) }

    private mutating func skip(_ byte: UInt8) -> Bool {
        guard offset < text.count, text[offset] == byte else { return false }
        offset += 1
        return true
    }

    /// Digits, at most `most` of them.
    private mutating func number(most: Int) -> Int? {
        var value = 0
        let start = offset
        while offset < text.count, offset - start < most, text[offset] &- UInt8(ascii: "0") < 10 {
            value = value * 10 + Int(text[offset] &- UInt8(ascii: "0"))
            offset += 1
        }
        return offset > start ? value : nil
    }

    /// Bytes up to a space or the end; the space is read.
    private mutating func word() -> UnsafeRawBufferPointer {
        let length = findEither(0x20, 0x20, in: rest)
        let word = UnsafeRawBufferPointer(rebasing: rest[..<length])
        offset = min(text.count, offset + length + 1)
        return word
    }

    /// `<PRI>`, 0…191; nil, with nothing read, when there is none.
    mutating func priority() -> Int? {
        let start = offset
        guard skip(UInt8(ascii: "<")), let value = number(most: 3), value < 192,
            skip(UInt8(ascii: ">"))
        else {
            offset = start
            return nil
        }
        return value
    }

    // MARK: RFC 5424

    /// Reads a header with its structured data and adds its fields. Nil when it is none; else the
    /// time, nil when the sender knows none.
    mutating func header5424(_ assembly: inout RecordAssembly) -> Int64?? {
        guard let version = number(most: 3), version > 0, skip(0x20) else { return nil }
        let time = word()
        var nanos: Int64?
        if !isNil(time) {
            guard let parsed = RecordTime.rfc3339(time) else { return nil }
            nanos = parsed
        }
        let fields = (word(), word(), word(), word())
        guard let data = structuredData() else { return nil }
        if !isNil(fields.0) { assembly.add("hostname", fields.0) }
        if !isNil(fields.1) { assembly.add("app_name", fields.1) }
        if !isNil(fields.2) { assembly.add("proc_id", fields.2) }
        if !isNil(fields.3) { assembly.add("msg_id", fields.3) }
        var elements = SyslogScanner(data)
        elements.addParameters(&assembly)
        return .some(nanos)
    }

    private func isNil(_ word: UnsafeRawBufferPointer) -> Bool {
        word.isEmpty || word.count == 1 && word[0] == UInt8(ascii: "-")
    }

    /// Steps over `-` or `[…]…` and the space behind it; nil when it is neither.
    private mutating func structuredData() -> UnsafeRawBufferPointer? {
        let start = offset
        if skip(UInt8(ascii: "-")) {
            guard offset == text.count || skip(0x20) else { return nil }
            return UnsafeRawBufferPointer(rebasing: text[start..<start])
        }
        guard offset < text.count, text[offset] == UInt8(ascii: "[") else { return nil }
        while skip(UInt8(ascii: "[")) {
            var isQuoted = false
            while true {
                guard offset < text.count else { return nil }
                let byte = text[offset]
                offset += 1
                if isQuoted, byte == UInt8(ascii: "\\") {
                    offset = min(text.count, offset + 1)
                } else if byte == UInt8(ascii: "\"") {
                    isQuoted.toggle()
                } else if !isQuoted, byte == UInt8(ascii: "]") {
                    break
                }
            }
        }
        let end = offset
        guard offset == text.count || skip(0x20) else { return nil }
        return UnsafeRawBufferPointer(rebasing: text[start..<end])
    }

    /// Adds each parameter of structured data as `SD-ID.NAME`.
    private mutating func addParameters(_ assembly: inout RecordAssembly) {
        var name: [UInt8] = []
        var value: [UInt8] = []
        while skip(UInt8(ascii: "[")) {
            name.removeAll(keepingCapacity: true)
            while offset < text.count, text[offset] != 0x20, text[offset] != UInt8(ascii: "]") {
                name.append(text[offset])
                offset += 1
            }
            let prefix = name.count
            // An id beyond the limit of a name would be repeated before every parameter.
            let isKept = prefix <= assembly.logs.limits.maxLabelNameBytes
            while skip(0x20) {
                name.append(UInt8(ascii: "."))
                while offset < text.count, text[offset] != UInt8(ascii: "="),
                    text[offset] != UInt8(ascii: "]"), text[offset] != 0x20
                {
                    name.append(text[offset])
                    offset += 1
                }
                value.removeAll(keepingCapacity: true)
                if skip(UInt8(ascii: "=")), skip(UInt8(ascii: "\"")) { quoted(&value) }
                if isKept {
                    name.withUnsafeBytes { n in
                        value.withUnsafeBytes { assembly.add(n, $0) }
                    }
                }
                name.removeSubrange(prefix...)
            }
            if !skip(UInt8(ascii: "]")) { return }
        }
    }

    /// The rest of a quoted value: `\"`, `\\` and `\]` stand for the second character, a backslash
    /// before another for itself.
    private mutating func quoted(_ value: inout [UInt8]) {
        while offset < text.count {
            let byte = text[offset]
            offset += 1
            if byte == UInt8(ascii: "\"") { return }
            if byte == UInt8(ascii: "\\"), offset < text.count,
                [UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "]")].contains(text[offset])
            {
                value.append(text[offset])
                offset += 1
            } else {
                value.append(byte)
            }
        }
    }

    // MARK: RFC 3164

    /// Reads time, host and tag as far as they are there, adds them as fields, and gives the time.
    mutating func header3164(
        _ assembly: inout RecordAssembly, _ options: Syslog.Options
    ) -> Int64? {
        let start = offset
        guard let nanos = olderTime(options) ?? newerTime() else {
            // No time means no header.
            offset = start
            addTag(&assembly)
            return nil
        }
        while skip(0x20) {}
        // A word that ends as a tag does is no host.
        let beforeHost = offset
        let host = word()
        if host.isEmpty || host.last == UInt8(ascii: ":") || host.last == UInt8(ascii: "]") {
            offset = beforeHost
        } else if offset == text.count, beforeHost + host.count == text.count {
            // One word alone is a message.
            offset = beforeHost
            return nanos
        } else {
            assembly.add("hostname", host)
        }
        addTag(&assembly)
        return nanos
    }

    /// `Mmm dd hh:mm:ss`, perhaps with a year after the day or a fraction after the seconds. Without
    /// a year it is that which brings the time nearest to the arrival.
    private mutating func olderTime(_ options: Syslog.Options) -> Int64? {
        _ = skip(UInt8(ascii: "*"))
        guard offset + 4 <= text.count,
            let month = SyslogScanner.months.firstIndex(where: {
                text[offset..<(offset + 3)].elementsEqual($0.utf8)
            })
        else { return nil }
        offset += 3
        guard skip(0x20) else { return nil }
        _ = skip(0x20)
        guard let day = number(most: 2), (1...31).contains(day), skip(0x20) else { return nil }
        guard var hour = number(most: 4) else { return nil }
        var year: Int?
        if skip(0x20) {
            year = hour
            guard let next = number(most: 2) else { return nil }
            hour = next
        }
        guard hour < 24, skip(UInt8(ascii: ":")), let minute = number(most: 2), minute < 60,
            skip(UInt8(ascii: ":")), let second = number(most: 2), second <= 60
        else { return nil }
        var nanos: Int64 = 0
        if skip(UInt8(ascii: ".")) {
            var scale: Int64 = 100_000_000
            while offset < text.count, text[offset] &- UInt8(ascii: "0") < 10 {
                nanos += Int64(text[offset] &- UInt8(ascii: "0")) * scale
                scale /= 10
                offset += 1
            }
        }
        _ = skip(UInt8(ascii: ":"))
        let now = options.nowNanos / 1_000_000_000
        let thisYear = Int(CivilTime(unixSeconds: now + Int64(options.offsetSeconds)).year)
        let candidates = year.map { [$0] } ?? [thisYear, thisYear - 1, thisYear + 1]
        let seconds = candidates.compactMap { year -> Int64? in
            guard (1970...2200).contains(year),
                day <= CivilTime.daysInMonth(year: Int64(year), month: month + 1)
            else { return nil }
            return CivilTime.days(year: Int64(year), month: month + 1, day: day) * 86_400
                + Int64(hour * 3600 + minute * 60 + second - options.offsetSeconds)
        }.min { abs($0 - now) < abs($1 - now) }
        return seconds.flatMap { LokiPush.unixNanos(seconds: $0, nanos: nanos) }
    }

    private static let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]

    /// A time as RFC 3339 has it.
    private mutating func newerTime() -> Int64? {
        guard offset < text.count, text[offset] &- UInt8(ascii: "0") < 10 else { return nil }
        return RecordTime.rfc3339(word())
    }

    /// `TAG:` or `TAG[PID]:` and the space behind it; nothing is read when the text begins otherwise.
    private mutating func addTag(_ assembly: inout RecordAssembly) {
        let start = offset
        while offset < text.count, offset - start < 128, isTag(text[offset]) { offset += 1 }
        let tag = UnsafeRawBufferPointer(rebasing: text[start..<offset])
        var process = UnsafeRawBufferPointer(start: nil, count: 0)
        if !tag.isEmpty, skip(UInt8(ascii: "[")) {
            let begin = offset
            while offset < text.count, offset - begin < 128, text[offset] != UInt8(ascii: "]"),
                text[offset] != 0x20
            {
                offset += 1
            }
            process = UnsafeRawBufferPointer(rebasing: text[begin..<offset])
            guard skip(UInt8(ascii: "]")) else {
                offset = start
                return
            }
        }
        guard !tag.isEmpty, skip(UInt8(ascii: ":")), offset == text.count || skip(0x20) else {
            offset = start
            return
        }
        assembly.add("app_name", tag)
        assembly.add("proc_id", process)
    }

    private func isTag(_ byte: UInt8) -> Bool {
        byte > 0x20 && byte < 0x7f && byte != UInt8(ascii: ":") && byte != UInt8(ascii: "[")
    }
}

// SPDX-License-Identifier: Apache-2.0
// Messages of the domain name system. Source: RFC 1035 §4, RFC 2782 (SRV), RFC 3596 (AAAA), RFC
// 6891 (the size that fits into UDP).
//
//     | id 16 | flags 16 | questions 16 | answers 16 | authorities 16 | additionals 16 |
//     question: name | type 16 | class 16
//     record:   name | type 16 | class 16 | ttl 32 | length 16 | data

import Base

/// Types of records that targets are made of.
enum DNSRecordType: UInt16, Sendable {
    case a = 1
    case ns = 2
    case mx = 15
    case aaaa = 28
    case srv = 33

    init?(named name: String) {
        switch name.uppercased() {
        case "A": self = .a
        case "NS": self = .ns
        case "MX": self = .mx
        case "AAAA": self = .aaaa
        case "SRV": self = .srv
        default: return nil
        }
    }
}

/// What an answer says. Names end in a dot.
enum DNSRecord: Sendable, Equatable {
    /// A or AAAA, in text form.
    case address(String)
    case nameServer(String)
    case mailExchange(String)
    case service(target: String, port: Int)
}

/// An answer to one question.
struct DNSAnswer: Sendable, Equatable {
    /// 0 = good, 3 = no such name.
    var code: Int
    var isTruncated: Bool
    /// Records of the types above, in order; others (aliases above all) are left out.
    var records: [DNSRecord]
}

/// Bytes that are no DNS message, or not the one that was asked for.
struct MalformedDNS: Error, Equatable, CustomStringConvertible {
    var description: String
    init(_ description: String) { self.description = description }
}

enum DNSMessage {
    /// Bytes of an answer over UDP that we announce to take.
    static let datagramLimit = 4096

    /// A question for one type of records of a name.
    ///
    /// - Throws: for a name with a label of more than 63 bytes, or of more than 255 in all.
    static func question(
        id: UInt16, name: String, type: DNSRecordType, announcesSize: Bool
    ) throws(MalformedDNS) -> [UInt8] {
        var out: [UInt8] = []
        // Flags: recursion desired.
        for word in [id, 0x0100, 1, 0, 0, announcesSize ? 1 : 0] { append(word, &out) }
        out += try encoded(name)
        append(type.rawValue, &out)
        append(1, &out)
        if announcesSize {
            // The OPT pseudo-record: root name, type 41, our size as class, nothing else.
            out.append(0)
            append(41, &out)
            append(UInt16(datagramLimit), &out)
            out += [0, 0, 0, 0, 0, 0]
        }
        return out
    }

    private static func append(_ word: UInt16, _ out: inout [UInt8]) {
        out.append(UInt8(word >> 8))
        out.append(UInt8(word & 0xff))
    }

    private static func encoded(_ name: String) throws(MalformedDNS) -> [UInt8] {
        var out: [UInt8] = []
        let labels = name.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        for (index, label) in labels.enumerated() {
            // The last one of a rooted name is empty.
            if label.isEmpty, index == labels.count - 1 { break }
            guard (1...63).contains(label.count) else {
                throw MalformedDNS("\(quotedText(name)) is not a valid domain name")
            }
            out.append(UInt8(label.count))
            out += label
        }
        out.append(0)
        guard out.count <= 255 else {
            throw MalformedDNS("\(quotedText(name)) is too long for a domain name")
        }
        return out
    }

    /// Reads the answer to a question.
    ///
    /// - Parameter question: the message that was sent; its id and its question must come back.
    /// - Throws: for anything else. Never reads beyond the bytes, and follows at most 64 pointers
    ///   in a name.
    static func answer(
        _ bytes: [UInt8], to question: [UInt8]
    ) throws(MalformedDNS) -> DNSAnswer {
        var reader = DNSReader(bytes: bytes)
        let id = try reader.word()
        guard question.count >= 12, id == UInt16(question[0]) << 8 | UInt16(question[1]) else {
            throw MalformedDNS("the answer has another id")
        }
        let flags = try reader.word()
        guard flags & 0x8000 != 0 else { throw MalformedDNS("the message is no answer") }
        let questions = try reader.word()
        let answers = try reader.word()
        reader.offset += 4
        var answer = DNSAnswer(
            code: Int(flags & 0xf), isTruncated: flags & 0x0200 != 0, records: [])
        guard questions <= 1 else { throw MalformedDNS("the answer has several questions") }
        if questions == 1 {
            var asked = DNSReader(bytes: question, offset: 12)
            let name = try reader.name().lowercased()
            let kind = [try reader.word(), try reader.word()]
            let askedName = try asked.name().lowercased()
            let askedKind = [try asked.word(), try asked.word()]
            let isSame = name == askedName && kind == askedKind
            guard isSame else { throw MalformedDNS("the answer is to another question") }
        }
        for _ in 0..<answers {
            // A server may cut an answer anywhere when it says so.
            if answer.isTruncated, reader.offset >= bytes.count { break }
            if let record = try reader.record() { answer.records.append(record) }
        }
        return answer
    }
}

/// A cursor over a message.
private struct DNSReader {
    let bytes: [UInt8]
    var offset = 0

    init(bytes: [UInt8], offset: Int = 0) {
        self.bytes = bytes
        self.offset = offset
    }

    mutating func byte() throws(MalformedDNS) -> UInt8 {
        guard offset < bytes.count else { throw MalformedDNS("the message ends early") }
        offset += 1
        return bytes[offset - 1]
    }

    mutating func word() throws(MalformedDNS) -> UInt16 {
        UInt16(try byte()) << 8 | UInt16(try byte())
    }

    /// A name with its final dot; bytes that would look like one are escaped by a backslash.
    mutating func name() throws(MalformedDNS) -> String {
        var text: [UInt8] = []
        var pointers = 0
        var end: Int?
        while true {
            let length = Int(try byte())
            switch length >> 6 {
            case 0:
                if length == 0 {
                    if text.isEmpty { text = [UInt8(ascii: ".")] }
                    if let end { offset = end }
                    return String(decoding: text, as: UTF8.self)
                }
                for _ in 0..<length {
                    let byte = try byte()
                    if byte == UInt8(ascii: ".") || byte == UInt8(ascii: "\\") {
                        text.append(UInt8(ascii: "\\"))
                    }
                    text.append(byte)
                }
                text.append(UInt8(ascii: "."))
                // Escapes at most double the 255 bytes a name may have.
                guard text.count <= 512 else { throw MalformedDNS("a name is too long") }
            case 3:
                let target = (length & 0x3f) << 8 | Int(try byte())
                pointers += 1
                guard pointers <= 64 else { throw MalformedDNS("a name has too many pointers") }
                if end == nil { end = offset }
                offset = target
            default: throw MalformedDNS("a label has an unknown form")
            }
        }
    }

    mutating func record() throws(MalformedDNS) -> DNSRecord? {
        _ = try name()
        let type = try word()
        let kind = try word()
        offset += 4
        let length = Int(try word())
        let end = offset + length
        guard end <= bytes.count else { throw MalformedDNS("the message ends early") }
        defer { offset = end }
        guard kind == 1, let type = DNSRecordType(rawValue: type) else { return nil }
        switch type {
        case .a:
            guard length == 4 else { throw MalformedDNS("an address has \(length) bytes") }
            return .address(bytes[offset..<end].map(String.init).joined(separator: "."))
        case .aaaa:
            guard length == 16 else { throw MalformedDNS("an address has \(length) bytes") }
            return .address(addressText(bytes[offset..<end]))
        case .ns: return .nameServer(try name())
        case .mx:
            _ = try word()
            return .mailExchange(try name())
        case .srv:
            _ = try word()
            _ = try word()
            let port = try word()
            return .service(target: try name(), port: Int(port))
        }
    }
}

/// An IPv6 address in the form of RFC 5952: the longest run of zeros is left out. One that stands
/// for an IPv4 address is written as that, as Go does.
func addressText(_ bytes: ArraySlice<UInt8>) -> String {
    let bytes = Array(bytes)
    if bytes.prefix(10).allSatisfy({ $0 == 0 }), bytes[10] == 0xff, bytes[11] == 0xff {
        return bytes[12...].map(String.init).joined(separator: ".")
    }
    let words = stride(from: 0, to: bytes.count, by: 2).map {
        UInt16(bytes[$0]) << 8 | UInt16(bytes[$0 + 1])
    }
    var best = 0..<0
    var start = 0
    while start < words.count {
        var end = start
        while end < words.count, words[end] == 0 { end += 1 }
        if end - start > max(best.count, 1) { best = start..<end }
        start = max(end, start + 1)
    }
    func text(_ words: ArraySlice<UInt16>) -> String {
        words.map { String($0, radix: 16) }.joined(separator: ":")
    }
    if best.isEmpty { return text(words[...]) }
    return text(words[..<best.lowerBound]) + "::" + text(words[best.upperBound...])
}

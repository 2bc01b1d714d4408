// SPDX-License-Identifier: Apache-2.0
// XML answers of AWS.

/// An element: its name without a prefix, its text and its children. Attributes, comments and
/// processing instructions are skipped; a document type is refused, so nothing can expand.
struct XMLTree: Sendable, Equatable {
    var name: String
    var text = ""
    var children: [XMLTree] = []

    private static let depthLimit = 64
    private static let elementLimit = 2_000_000

    /// - Throws: for text that is not well-formed as far as we look, nested too deep or too long.
    init(_ bytes: [UInt8]) throws(DiscoveryError) {
        var reader = XMLReader(bytes)
        self = try reader.document(depth: Self.depthLimit, elements: Self.elementLimit)
    }

    fileprivate init(name: String) { self.name = name }

    /// The first child of a name; an empty element when there is none.
    subscript(name: String) -> XMLTree {
        children.first { $0.name == name } ?? XMLTree(name: name)
    }

    /// The `item`s (or `member`s) of a list.
    var items: [XMLTree] { children.filter { $0.name == "item" || $0.name == "member" } }

    /// The text; nil when it is empty.
    var nonEmpty: String? { text.isEmpty ? nil : text }
}

private struct XMLReader {
    private let bytes: [UInt8]
    private var offset = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    private func failure(_ what: String) -> DiscoveryError {
        DiscoveryError("malformed XML at offset \(offset): \(what)")
    }

    private func starts(with text: StaticString) -> Bool {
        let count = text.utf8CodeUnitCount
        guard bytes.count - offset >= count else { return false }
        for index in 0..<count where bytes[offset + index] != text.utf8Start[index] { return false }
        return true
    }

    /// Moves behind the next occurrence of a text.
    private mutating func skip(past text: StaticString) throws(DiscoveryError) {
        while offset < bytes.count {
            if starts(with: text) {
                offset += text.utf8CodeUnitCount
                return
            }
            offset += 1
        }
        throw failure("the document ends early")
    }

    mutating func document(depth: Int, elements: Int) throws(DiscoveryError) -> XMLTree {
        // Elements that are open, the outermost first.
        var open: [XMLTree] = []
        var texts: [[UInt8]] = []
        var count = 0
        while offset < bytes.count {
            guard bytes[offset] == UInt8(ascii: "<") else {
                let start = offset
                while offset < bytes.count, bytes[offset] != UInt8(ascii: "<") { offset += 1 }
                if !texts.isEmpty {
                    try unescape(bytes[start..<offset], into: &texts[texts.count - 1])
                }
                continue
            }
            if starts(with: "<?") {
                try skip(past: "?>")
            } else if starts(with: "<!--") {
                try skip(past: "-->")
            } else if starts(with: "<![CDATA[") {
                offset += 9
                let start = offset
                try skip(past: "]]>")
                if !texts.isEmpty { texts[texts.count - 1] += bytes[start..<(offset - 3)] }
            } else if starts(with: "<!") {
                throw failure("a document type is not accepted")
            } else if starts(with: "</") {
                offset += 2
                let name = localName()
                try skip(past: ">")
                guard var element = open.popLast(), let text = texts.popLast() else {
                    throw failure("an element ends that did not begin")
                }
                guard element.name == name else {
                    throw failure("\(element.name) ends as \(name)")
                }
                // Text between children is indentation.
                if element.children.isEmpty { element.text = String(decoding: text, as: UTF8.self) }
                if open.isEmpty { return element }
                open[open.count - 1].children.append(element)
            } else {
                offset += 1
                let name = localName()
                guard !name.isEmpty else { throw failure("an element without a name") }
                count += 1
                guard count <= elements, open.count < depth else {
                    throw failure("too many elements")
                }
                if try skipAttributes() {
                    if open.isEmpty { return XMLTree(name: name) }
                    open[open.count - 1].children.append(XMLTree(name: name))
                } else {
                    open.append(XMLTree(name: name))
                    texts.append([])
                }
            }
        }
        throw failure("the document ends early")
    }

    /// Moves behind the `>` of an opening tag.
    ///
    /// - Returns: whether the element is closed at once.
    private mutating func skipAttributes() throws(DiscoveryError) -> Bool {
        var quote: UInt8?
        while offset < bytes.count {
            let byte = bytes[offset]
            offset += 1
            if let open = quote {
                if byte == open { quote = nil }
            } else if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") {
                quote = byte
            } else if byte == UInt8(ascii: ">") {
                return bytes[offset - 2] == UInt8(ascii: "/")
            }
        }
        throw failure("a tag does not end")
    }

    /// A name without its prefix.
    private mutating func localName() -> String {
        var start = offset
        while offset < bytes.count {
            let byte = bytes[offset]
            if byte == UInt8(ascii: ":") {
                start = offset + 1
            } else if byte <= 32 || byte == UInt8(ascii: ">") || byte == UInt8(ascii: "/") {
                break
            }
            offset += 1
        }
        return String(decoding: bytes[min(start, offset)..<offset], as: UTF8.self)
    }

    private func unescape(
        _ text: ArraySlice<UInt8>, into out: inout [UInt8]
    ) throws(DiscoveryError) {
        var rest = text
        while let start = rest.firstIndex(of: UInt8(ascii: "&")) {
            out += rest[..<start]
            guard let end = rest[start...].firstIndex(of: UInt8(ascii: ";")), end - start <= 10
            else {
                throw failure("a reference does not end")
            }
            let name = String(decoding: rest[(start + 1)..<end], as: UTF8.self)
            switch name {
            case "amp": out.append(UInt8(ascii: "&"))
            case "lt": out.append(UInt8(ascii: "<"))
            case "gt": out.append(UInt8(ascii: ">"))
            case "quot": out.append(UInt8(ascii: "\""))
            case "apos": out.append(UInt8(ascii: "'"))
            default:
                let number =
                    name.hasPrefix("#x")
                    ? UInt32(name.dropFirst(2), radix: 16)
                    : name.hasPrefix("#") ? UInt32(name.dropFirst()) : nil
                guard let number, let scalar = Unicode.Scalar(number) else {
                    throw failure("unknown reference \(name)")
                }
                out += Array(String(Character(scalar)).utf8)
            }
            rest = rest[(end + 1)...]
        }
        out += rest
    }
}

// SPDX-License-Identifier: Apache-2.0
// Functions of the template language itself.

import Base

extension TemplateFunction {
    func callBuiltIn(_ arguments: [TemplateValue]) throws(TemplateError) -> TemplateValue {
        switch self {
        case .not: return .bool(!arguments[0].isTrue)
        case .eq:
            for other in arguments.dropFirst() where try order(arguments[0], other) == 0 {
                return .bool(true)
            }
            return .bool(false)
        case .ne: return .bool(try order(arguments[0], arguments[1]) != 0)
        case .lt: return .bool(try order(arguments[0], arguments[1], ranked: true) < 0)
        case .le: return .bool(try order(arguments[0], arguments[1], ranked: true) <= 0)
        case .gt: return .bool(try order(arguments[0], arguments[1], ranked: true) > 0)
        case .ge: return .bool(try order(arguments[0], arguments[1], ranked: true) >= 0)
        case .len:
            switch arguments[0] {
            case .string(let text): return .int(Int64(text.utf8.count))
            case .list(let items): return .int(Int64(items.count))
            case .map(let pairs): return .int(Int64(pairs.count))
            case .texts(let pairs): return .int(Int64(pairs.count))
            default: throw fault("len of type \(arguments[0].typeName)")
            }
        case .index: return try element(arguments)
        case .slice: return try part(arguments)
        case .print: return .string(arguments.map(\.text).joined(separator: " "))
        case .println: return .string(arguments.map(\.text).joined(separator: " ") + "\n")
        case .printf:
            return .string(goFormat(try text(arguments[0]), Array(arguments.dropFirst())))
        case .html: return .string(escapedHTML(arguments.map(\.text).joined()))
        case .js: return .string(escapedScript(arguments.map(\.text).joined()))
        case .urlquery: return .string(percentEncoded(arguments.map(\.text).joined()))
        default: throw fault("\(arguments[0].typeName) is not a function")
        }
    }

    /// -1, 0 or 1. Values of different types do not compare.
    private func order(
        _ a: TemplateValue, _ b: TemplateValue, ranked: Bool = false
    ) throws(TemplateError) -> Int {
        func compare<T: Comparable>(_ x: T, _ y: T) -> Int { x < y ? -1 : x == y ? 0 : 1 }
        switch (a, b) {
        case (.string(let x), .string(let y)): return compare(x, y)
        case (.int(let x), .int(let y)): return compare(x, y)
        case (.float(let x), .float(let y)): return compare(x, y)
        case (.bool(let x), .bool(let y)):
            if ranked { throw fault("invalid type for comparison") }
            return x == y ? 0 : 1
        case (.time(let x), .time(let y)): return compare(x, y)
        case (.null, .null): return 0
        default: throw fault("incompatible types for comparison")
        }
    }

    private func element(_ arguments: [TemplateValue]) throws(TemplateError) -> TemplateValue {
        var current = arguments[0]
        for key in arguments.dropFirst() {
            switch (current, key) {
            case (.list(let items), .int(let i)):
                guard i >= 0, i < Int64(items.count) else {
                    throw fault("index out of range: \(i)")
                }
                current = items[Int(i)]
            case (.map(let pairs), .string(let name)):
                current = pairs.first { $0.key == name }?.value ?? .null
            case (.texts(let pairs), .string(let name)):
                current = .string(pairs.first { $0.key == name }?.value ?? "")
            case (.string(let text), .int(let i)):
                guard i >= 0, i < Int64(text.utf8.count) else {
                    throw fault("index out of range: \(i)")
                }
                current = .int(Int64(Array(text.utf8)[Int(i)]))
            default: throw fault("can't index item of type \(current.typeName)")
            }
        }
        return current
    }

    private func part(_ arguments: [TemplateValue]) throws(TemplateError) -> TemplateValue {
        var bounds: [Int] = []
        for argument in arguments.dropFirst() {
            guard case .int(let i) = argument, let bound = Int(exactly: i) else {
                throw fault("cannot index slice/array with type \(argument.typeName)")
            }
            bounds.append(bound)
        }
        func range(_ count: Int) throws(TemplateError) -> Range<Int> {
            let low = bounds.first ?? 0
            let high = bounds.count > 1 ? bounds[1] : count
            guard bounds.count <= 2, low >= 0, low <= high, high <= count else {
                throw fault("index out of range")
            }
            return low..<high
        }
        switch arguments[0] {
        case .string(let text):
            let utf8 = Array(text.utf8)
            return .string(String(decoding: utf8[try range(utf8.count)], as: UTF8.self))
        case .list(let items): return .list(Array(items[try range(items.count)]))
        default: throw fault("can't slice item of type \(arguments[0].typeName)")
        }
    }
}

private func escapedHTML(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
        switch scalar {
        case "<": result += "&lt;"
        case ">": result += "&gt;"
        case "&": result += "&amp;"
        case "\"": result += "&#34;"
        case "'": result += "&#39;"
        default: result.unicodeScalars.append(scalar)
        }
    }
    return result
}

private func escapedScript(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
        switch scalar {
        case "\\": result += "\\\\"
        case "'": result += "\\'"
        case "\"": result += "\\\""
        case "<": result += "\\u003C"
        case ">": result += "\\u003E"
        case "&": result += "\\u0026"
        case "=": result += "\\u003D"
        case _ where scalar.value < 0x20:
            let digits = String(scalar.value, radix: 16, uppercase: true)
            result += "\\u" + String(repeating: "0", count: 4 - digits.utf8.count) + digits
        default: result.unicodeScalars.append(scalar)
        }
    }
    return result
}

/// Text as part of a URL's query: letters, digits and `-_.~` stay, a blank becomes `+`.
func percentEncoded(_ text: String) -> String {
    let digits = Array("0123456789ABCDEF".utf8)
    var out: [UInt8] = []
    for byte in text.utf8 {
        if isASCIILetter(byte) || isASCIIDigit(byte) || "-_.~".utf8.contains(byte) {
            out.append(byte)
        } else if byte == 32 {
            out.append(UInt8(ascii: "+"))
        } else {
            out += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
        }
    }
    return String(decoding: out, as: UTF8.self)
}

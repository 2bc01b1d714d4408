// SPDX-License-Identifier: Apache-2.0
// A request as endpoints see it.

import HTTPTypes
import Telemetry

/// A request, whole: the body is in memory, still in its content encoding.
package struct APIRequest: Sendable {
    package var method: HTTPRequest.Method
    /// Path after the family prefix was taken off, still percent-encoded.
    package var path: String
    /// Family prefix the request came in under (`tempo`, `loki`, …), or empty.
    package var prefix: String
    /// Values of `{…}` places in the route, percent-decoded.
    package var pathParameters: [String: String]
    package var headers: HTTPFields
    package var body: [UInt8]
    package var tenant: Tenant
    /// Parameters of the query string and, for form posts, of the body, in order.
    package var parameters: [(name: String, value: String)]

    package init(
        method: HTTPRequest.Method, path: String, headers: HTTPFields = HTTPFields(),
        body: [UInt8] = [], tenant: Tenant = .anonymous,
        parameters: [(name: String, value: String)] = []
    ) {
        self.method = method
        self.path = path
        prefix = ""
        pathParameters = [:]
        self.headers = headers
        self.body = body
        self.tenant = tenant
        self.parameters = parameters
    }

    /// First value of a parameter, or nil when it is absent.
    package func parameter(_ name: String) -> String? {
        parameters.first { $0.name == name }?.value
    }

    /// First non-empty value of a parameter.
    package func nonEmpty(_ name: String) -> String? {
        parameters.first { $0.name == name && !$0.value.isEmpty }?.value
    }

    /// All values of a repeated parameter.
    package func parameters(named name: String) -> [String] {
        parameters.filter { $0.name == name }.map(\.value)
    }

    /// Media type of the body, lower case, without parameters.
    package var mediaType: String {
        let value = headers[.contentType] ?? ""
        let type = value.split(separator: ";", maxSplits: 1).first ?? ""
        return String(trimmed(type)).lowercased()
    }
}

/// Text without leading and trailing spaces and tabs.
func trimmed(_ text: some StringProtocol) -> String {
    var rest = text[...]
    while let first = rest.first, first == " " || first == "\t" { rest = rest.dropFirst() }
    while let last = rest.last, last == " " || last == "\t" { rest = rest.dropLast() }
    return String(rest)
}

/// Decodes `a=1&b=2` as forms and query strings write it: `+` is a space, `%XX` a byte.
///
/// A malformed escape is kept as it stands, as browsers do.
func decodeForm(_ text: some StringProtocol) -> [(name: String, value: String)] {
    var result: [(name: String, value: String)] = []
    for pair in text.utf8.split(separator: UInt8(ascii: "&")) {
        let parts = pair.split(
            separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
        let name = percentDecoded(parts[0], plusIsSpace: true)
        let value = parts.count > 1 ? percentDecoded(parts[1], plusIsSpace: true) : ""
        result.append((name, value))
    }
    return result
}

/// Replaces `%XX` by bytes; invalid UTF-8 becomes U+FFFD.
func percentDecoded(_ text: some Sequence<UInt8>, plusIsSpace: Bool = false) -> String {
    var out: [UInt8] = []
    var pending: [UInt8] = []
    for byte in text {
        if pending.isEmpty {
            if byte == UInt8(ascii: "%") {
                pending = [byte]
            } else {
                out.append(plusIsSpace && byte == UInt8(ascii: "+") ? UInt8(ascii: " ") : byte)
            }
            continue
        }
        pending.append(byte)
        guard hexDigit(byte) != nil else {
            out.append(contentsOf: pending)
            pending = []
            continue
        }
        if pending.count == 3, let high = hexDigit(pending[1]), let low = hexDigit(pending[2]) {
            out.append(high << 4 | low)
            pending = []
        }
    }
    out.append(contentsOf: pending)
    return String(decoding: out, as: UTF8.self)
}

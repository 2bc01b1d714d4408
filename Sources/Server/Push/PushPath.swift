// SPDX-License-Identifier: Apache-2.0
// The grouping key in a path.

import Base

/// Labels in `…/job/NAME{/LABEL/VALUE}`, percent-decoded; `LABEL@base64` has its value in base64.
///
/// Source: prometheus/pushgateway README, "URL", and `handler/push.go`.
struct PushPath {
    /// `job` first, then the others in the order of the path.
    private(set) var labels: [(name: String, value: String)] = []

    /// - Parameter path: percent-encoded, from `job` or `job@base64` on.
    init(_ path: some StringProtocol) throws(APIError) {
        var parts = path.utf8.split(
            separator: UInt8(ascii: "/"), omittingEmptySubsequences: false
        ).map { percentDecoded($0) }
        // Routers of clients often leave a slash at the end.
        if parts.count > 2, parts.count & 1 == 1, parts.last == "" { parts.removeLast() }
        guard parts.count >= 2, !parts[1].isEmpty else {
            throw APIError(.badData, "job name is required")
        }
        guard parts.count & 1 == 0 else {
            throw APIError(
                .badData,
                "odd number of components in label string \(quotedText("/" + parts[2...].joined(separator: "/")))"
            )
        }
        for i in stride(from: 0, to: parts.count, by: 2) {
            var name = parts[i], value = parts[i + 1]
            if name.hasSuffix("@base64") {
                name.removeLast("@base64".count)
                value = try Self.decoded(value, name)
            }
            guard Self.isLabelName(name) else {
                throw APIError(.badData, "improper label name \(quotedText(name))")
            }
            if let known = labels.firstIndex(where: { $0.name == name }) {
                labels[known].value = value
            } else {
                labels.append((name, value))
            }
        }
        guard !(labels.first?.value ?? "").isEmpty else {
            throw APIError(.badData, "job name is required")
        }
    }

    private static func decoded(_ text: String, _ name: String) throws(APIError) -> String {
        // Padding may be missing, and a single sign of it stands for nothing at all.
        var digits = Array(text.utf8)
        while digits.last == UInt8(ascii: "=") { digits.removeLast() }
        var bytes: [UInt8] = []
        let isGood = digits.withUnsafeBytes { appendDecodedBase64($0, to: &bytes) }
        guard isGood, bytes.withUnsafeBytes({ isValidUTF8($0) }) else {
            throw APIError(
                .badData, "invalid base64 encoding for label \(name)=\(quotedText(text))")
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func isLabelName(_ name: String) -> Bool {
        guard let first = name.utf8.first, !(first &- UInt8(ascii: "0") < 10),
            !name.hasPrefix("__")
        else { return false }
        return name.utf8.allSatisfy { byte in
            byte &- UInt8(ascii: "0") < 10 || (byte | 0x20) &- UInt8(ascii: "a") < 26
                || byte == UInt8(ascii: "_")
        }
    }
}

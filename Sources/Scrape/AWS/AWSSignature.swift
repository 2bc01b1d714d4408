// SPDX-License-Identifier: Apache-2.0
// Signing requests to AWS.

import Base

/// Keys of an account, with the token of temporary ones.
struct AWSKeys: Sendable, Equatable {
    var access: String
    var secret: String
    var token = ""
}

/// Signature version 4. Source: docs.aws.amazon.com, "Create a signed AWS API request".
struct AWSSigner: Sendable {
    let keys: AWSKeys
    let region: String
    let service: String
    let digest: any RequestDigest

    /// Headers of a signed POST of a form to the root path of a host, `Host` left to the client.
    ///
    /// - Parameter seconds: since the Unix epoch.
    func headers(host: String, path: String, body: [UInt8], seconds: Int64) -> [NamedText] {
        let stamp = rfc3339Text(nanos: seconds &* 1_000_000_000)
            .filter { $0 != "-" && $0 != ":" }
        let day = String(stamp.prefix(8))
        var headers = [
            NamedText("content-type", "application/x-www-form-urlencoded; charset=utf-8"),
            NamedText("host", host), NamedText("x-amz-date", stamp),
        ]
        if !keys.token.isEmpty { headers.append(NamedText("x-amz-security-token", keys.token)) }
        let names = headers.map(\.name).joined(separator: ";")
        let canonical =
            "POST\n\(path)\n\n" + headers.map { "\($0.name):\($0.value)\n" }.joined()
            + "\n\(names)\n" + hexText(digest.sha256(body))
        let scope = "\(day)/\(region)/\(service)/aws4_request"
        let text =
            "AWS4-HMAC-SHA256\n\(stamp)\n\(scope)\n"
            + hexText(digest.sha256(Array(canonical.utf8)))
        var key = Array("AWS4\(keys.secret)".utf8)
        for part in [day, region, service, "aws4_request"] {
            key = digest.hmacSHA256(key: key, Array(part.utf8))
        }
        let signature = hexText(digest.hmacSHA256(key: key, Array(text.utf8)))
        headers.removeAll { $0.name == "host" }
        headers.append(
            NamedText(
                "authorization",
                "AWS4-HMAC-SHA256 Credential=\(keys.access)/\(scope), SignedHeaders=\(names), "
                    + "Signature=\(signature)"))
        return headers
    }
}

func hexText(_ bytes: [UInt8]) -> String {
    let digits = Array("0123456789abcdef".utf8)
    return String(
        decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
}

/// `name=value&…` with everything but plain characters encoded.
func formText(_ fields: [NamedText]) -> String {
    fields.map { "\(percentEncodedSegment($0.name))=\(percentEncodedSegment($0.value))" }
        .joined(separator: "&")
}

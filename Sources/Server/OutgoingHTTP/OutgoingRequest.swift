// SPDX-License-Identifier: Apache-2.0
// Requests this server sends, and what comes of them.

import Scrape

/// A request to somebody else.
package struct OutgoingRequest: Sendable {
    package var method = "GET"
    /// `http://…`, `https://…`, or `http+unix://` with a percent-encoded socket path as its host.
    package var url: String
    /// Win over those of the settings.
    package var headers: [NamedText] = []
    package var body: [UInt8]?
    /// Seconds from now until the whole answer must be there.
    package var timeoutSeconds: Double
    /// Most bytes of an answer, before and after decompression; 0 = `defaultBodyLimit`.
    package var bodyLimitBytes = 0

    package static let defaultBodyLimit = 256 << 20

    package init(_ url: String, timeoutSeconds: Double) {
        self.url = url
        self.timeoutSeconds = timeoutSeconds
    }

    var limit: Int { bodyLimitBytes > 0 ? bodyLimitBytes : Self.defaultBodyLimit }
}

/// Status and headers of an answer.
package struct OutgoingAnswerHead: Sendable {
    package var status: Int
    /// Text of the status line after the number; empty over HTTP/2.
    package var reason: String
    package var headers: [NamedText]

    /// The first header of a name, in any case.
    package func header(_ name: String) -> String? {
        let lower = name.lowercased()
        return headers.first { $0.name.lowercased() == lower }?.value
    }
}

package struct OutgoingAnswer: Sendable {
    package var head: OutgoingAnswerHead
    /// Plain, gzip taken off. Of an answer that is no success only the first 64 KiB.
    package var body: [UInt8]

    package var status: Int { head.status }
}

/// Why there is no answer.
package enum OutgoingError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The answer has more bytes than the request's limit.
    case bodyTooLarge
    case timedOut(String)
    case failed(String)

    package var description: String {
        switch self {
        case .bodyTooLarge: "body size limit exceeded"
        case .timedOut(let request): "\(request): context deadline exceeded"
        case .failed(let reason): reason
        }
    }
}

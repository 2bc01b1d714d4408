// SPDX-License-Identifier: Apache-2.0
// A request on its way through redirects.

import FoundationEssentials
import Scrape

/// One request of a chain.
///
/// Credentials, and headers that the settings add, are sent to the host the request was meant for,
/// and never over a plain connection when it was meant for an encrypted one: whoever answers
/// decides where a redirect leads.
struct RequestHop {
    var url: URL
    var method: String
    var headers: [NamedText]
    var body: [UInt8]?
    /// Whether the settings' credentials may be sent. Once lost they do not come back.
    private(set) var hasCredentials = true

    init(_ request: OutgoingRequest) throws(OutgoingError) {
        guard let url = URL(string: request.url), url.scheme != nil, url.host?.isEmpty == false
        else { throw .failed("not a valid URL") }
        self.url = url
        method = request.method
        headers = request.headers
        body = request.body
    }

    /// The request that follows from an answer, or nil when it is no redirect.
    ///
    /// - Throws: `OutgoingError.failed` when it leads nowhere one can go.
    func redirected(_ head: OutgoingAnswerHead) throws(OutgoingError) -> RequestHop? {
        guard [301, 302, 303, 307, 308].contains(head.status) else { return nil }
        guard let location = head.header("Location"), !location.isEmpty else {
            // Go's client takes 307 and 308 without a location for answers; so does everyone.
            return nil
        }
        guard let target = URL(string: location, relativeTo: url)?.absoluteURL,
            target.host?.isEmpty == false
        else { throw .failed("redirected to \"\(location)\", which is not a valid URL") }
        guard target.scheme == url.scheme || ["http", "https"].contains(target.scheme ?? "") else {
            throw .failed("redirected to \"\(location)\", whose scheme is not supported")
        }
        if url.scheme?.hasSuffix("+unix") == true, target.host != url.host {
            throw .failed("redirected from a socket to \"\(location)\"")
        }
        var next = self
        next.url = target
        if [301, 302, 303].contains(head.status), method != "GET", method != "HEAD" {
            next.method = "GET"
            next.body = nil
            next.headers.removeAll { $0.name.lowercased().hasPrefix("content-") }
        }
        let isSameHost = target.host?.lowercased() == url.host?.lowercased()
        if !isSameHost || (url.scheme == "https" && target.scheme == "http") {
            next.hasCredentials = false
            next.headers.removeAll {
                ["authorization", "cookie", "proxy-authorization", "host"]
                    .contains($0.name.lowercased())
            }
        }
        return next
    }
}

// SPDX-License-Identifier: Apache-2.0
// Sending alerts over HTTP.

import Rules
import Scrape

/// Posts to the Alertmanagers of one entry of the configuration.
struct AlertClient: AlertPosting {
    let http: OutgoingHTTP
    let settings: HTTPClientSettings

    func post(_ body: [UInt8], to url: String, timeoutSeconds: Double) async throws -> Int {
        var request = OutgoingRequest(url, timeoutSeconds: timeoutSeconds)
        request.method = "POST"
        request.headers = [NamedText("Content-Type", "application/json")]
        request.body = body
        // What an Alertmanager answers is a few bytes.
        request.bodyLimitBytes = 1 << 20
        return try await http.send(request, settings).status
    }
}

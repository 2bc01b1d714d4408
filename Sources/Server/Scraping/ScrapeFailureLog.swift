// SPDX-License-Identifier: Apache-2.0
// `scrape_failure_log_file`: one line per failed scrape.

import Base
import Logging
import Scrape
import Synchronization
import Telemetry

/// Writes failed scrapes into the files their jobs name, as JSON lines with the members of
/// Prometheus' (`scrape/manager.go`, `FileLogger`).
final class ScrapeFailureLog: Sendable {
    private let logger: Logger
    private let clock: any Clock
    private let files = Mutex<[String: LineFile]>([:])

    init(_ logger: Logger, _ clock: any Clock) {
        self.logger = logger
        self.clock = clock
    }

    func add(_ scrape: FailedScrape) {
        var json = JSONWriter(reserving: 256)
        json.beginObject()
        json.member("time", rfc3339Text(nanos: scrape.wallNanos))
        json.member("level", "ERROR")
        json.member("msg", scrape.error)
        json.member("job_name", scrape.job)
        json.member("target", scrape.url)
        json.endObject()
        let file = files.withLock { files in
            if let known = files[scrape.file] { return known }
            let new = LineFile(scrape.file, clock: clock) { [logger] error in
                logger.warning("failed scrapes are not logged: \(error)")
            }
            files[scrape.file] = new
            return new
        }
        file.append(json.bytes + [UInt8(ascii: "\n")])
    }

    /// Closes the files that no job names any more.
    func keep(_ names: Set<String>) {
        files.withLock { files in files = files.filter { names.contains($0.key) } }
    }
}

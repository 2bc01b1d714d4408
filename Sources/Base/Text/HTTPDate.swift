// SPDX-License-Identifier: Apache-2.0
// Dates of HTTP headers.

/// Unix seconds of `Sun, 06 Nov 1994 08:49:37 GMT`, the form that senders must use; nil for any
/// other text. Source: RFC 9110 section 5.6.7.
package func httpDateSeconds(_ text: String) -> Int64? {
    let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]
    let words = text.split(separator: " ")
    guard words.count == 6, words[0].hasSuffix(","), words[5] == "GMT",
        let day = number(words[1], 2), let month = months.firstIndex(of: String(words[2])),
        let year = number(words[3], 4)
    else { return nil }
    let time = words[4].split(separator: ":", omittingEmptySubsequences: false)
    guard time.count == 3, let hour = number(time[0], 2), let minute = number(time[1], 2),
        let second = number(time[2], 2), hour < 24, minute < 60, second <= 60,
        (1...CivilTime.daysInMonth(year: Int64(year), month: month + 1)).contains(day)
    else { return nil }
    let days = CivilTime.days(year: Int64(year), month: month + 1, day: day)
    return days * 86_400 + Int64(hour * 3600 + minute * 60 + second)
}

private func number(_ text: Substring, _ digits: Int) -> Int? {
    guard text.utf8.count == digits, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
        return nil
    }
    return Int(text)
}

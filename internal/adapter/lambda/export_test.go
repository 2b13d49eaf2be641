package lambda

// Response is response, for the fuzz test.
var Response = response

package wire

import (
	"strings"

	"github.com/poolhouse/poolhouse/internal/kit/fault"
)

// word is the stable upper-case word by which the plain dialect calls a fault.
func word(f *fault.Error) string {
	if f.Code == fault.ResourceNotFoundException && aboutPool(f.Message) {
		return "POOL_NOT_FOUND"
	}
	if w := gathered(f.Code); w != "" {
		return w
	}
	return snake(strings.TrimSuffix(string(f.Code), "Exception"))
}

// aboutPool tells the texts about a missing pool from those about other things that a pool has.
func aboutPool(message string) bool {
	return strings.HasPrefix(message, "User pool ") && !strings.HasPrefix(message, "User pool client ")
}

// gathered is the word that several exceptions share; "" for one that has its own.
func gathered(code fault.Code) string {
	switch code {
	case fault.InvalidParameterException, fault.InvalidPasswordException, fault.SerializationException, fault.InvalidOAuthFlowException:
		return "VALIDATION_ERROR"
	case fault.MissingAuthenticationTokenException, fault.UnrecognizedClientException, fault.InvalidSignatureException,
		fault.IncompleteSignatureException, fault.ExpiredTokenException:
		return "UNAUTHENTICATED"
	case fault.AccessDeniedException, fault.ForbiddenException:
		return "FORBIDDEN"
	case fault.ResourceNotFoundException:
		return "NOT_FOUND"
	case fault.AliasExistsException, fault.UsernameExistsException, fault.GroupExistsException,
		fault.DuplicateProviderException, fault.DeviceKeyExistsException, fault.ConcurrentModificationException:
		return "CONFLICT"
	case fault.TooManyRequestsException, fault.LimitExceededException, fault.TooManyFailedAttemptsException:
		return "RATE_LIMITED"
	case fault.UnexpectedLambdaException, fault.UserLambdaValidationException, fault.InvalidLambdaResponseException:
		return "TRIGGER_FAILED"
	case fault.CodeDeliveryFailureException, fault.InvalidSmsRoleAccessPolicyException,
		fault.InvalidSmsRoleTrustRelationshipException, fault.InvalidEmailRoleAccessPolicyException:
		return "DELIVERY_FAILED"
	case fault.InternalErrorException:
		return "INTERNAL_ERROR"
	default:
		return ""
	}
}

// snake turns MFAMethodNotFound into MFA_METHOD_NOT_FOUND.
func snake(name string) string {
	upper := func(i int) bool { return i < len(name) && 'A' <= name[i] && name[i] <= 'Z' }
	var b strings.Builder
	for i := range len(name) {
		// A word begins at a capital after a small letter, and at the last of several capitals before a small one.
		if i > 0 && upper(i) && (!upper(i-1) || i+1 < len(name) && !upper(i+1)) {
			b.WriteByte('_')
		}
		b.WriteByte(name[i])
	}
	return strings.ToUpper(b.String())
}
